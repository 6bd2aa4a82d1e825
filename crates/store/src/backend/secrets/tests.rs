use proptest::prelude::*;

use super::*;

fn secrets() -> Secrets {
    let variables = [
        ("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI"),
        ("AWS_SESSION_TOKEN", "FwoGZXIvYXdz"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token"),
        ("AZURE_STORAGE_SAS_KEY", "sv=2023-11-03&sp=rwdl&sig=a1%2Bb2%2Fc3%3D"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("PATH_TOKEN", "somewhere"),
        ("HTTPS_PROXY", "http://me:my/pass@proxy"),
        ("ALL_PROXY", "http://you:other-pass@proxy"),
    ];
    Secrets::among(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

#[test]
fn urls_keep_their_places_and_lose_their_secrets() {
    let hide = |text: &str| without_secrets(text).into_owned();
    for (text, expected) in [
        ("s3://user:password@bucket/a", "s3://***@bucket/a"),
        ("s3://AKIA:ab/cd+e@bucket/a", "s3://***@bucket/a"),
        ("s3://token@bucket/a", "s3://***@bucket/a"),
        ("https://h:8080/a?sv=1&sig=abc and more", "https://h:8080/a?*** and more"),
        ("(http://u:p@[::1]:80/a?x=1)", "(http://***@[::1]:80/a?***)"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("https://h/a#access=1 x", "https://h/a#*** x"),
        ("no `://` and no = here: 1", "no `://` and no = here: 1"),
        ("s3://bucket/a@b:c", "s3://bucket/a@b:c"),
        ("GET /a?restype=x&sig=abc%3D&st=1", "GET /a?restype=x&sig=***&st=1"),
        ("X-Amz-Security-Token: abc def\r\nHost: h", "X-Amz-Security-Token:***\r\nHost: h"),
        ("design=good, assign: x", "design=good, assign: x"),
        ("Credential=AKIA/2026/s3, Signature=ff", "Credential=***, Signature=***"),
    ] {
        assert_eq!(hide(text), expected);
        assert_eq!(hide(expected), expected, "twice is once");
    }
}

#[test]
fn known_values_are_hidden_in_every_spelling() {
    let secrets = secrets();
    let hide = |text: &str| secrets.hide(text).into_owned();
    assert_eq!(hide("<x>wJalr/XUtn+FEMI</x>"), "<x>***</x>");
    assert_eq!(hide("wJalr%2FXUtn%2BFEMI"), "***");
    assert_eq!(hide("AKIAEXAMPLE and FwoGZXIvYXdz"), "*** and ***");
    assert_eq!(hide("a1%2Bb2%2Fc3%3D or a1+b2/c3="), "*** or ***");
    assert_eq!(
        hide("eu-central-1 of account, /run/token, somewhere"),
        "eu-central-1 of account, /run/token, somewhere"
    );
    // The password of a proxy, alone and with its user, completely.
    assert_eq!(hide("my/pass, me:my/pass, my%2Fpass, other-pass"), "***, ***, ***, ***");
    assert!(!format!("{secrets:?}").contains("AKIA"));
}

#[test]
fn answers_of_servers_are_not_repeated() {
    let text = "Error performing PUT http://h/b/k in 1ms - Server returned non-2xx status code: 403 Forbidden: \
                <Error><Code>SignatureDoesNotMatch</Code><StringToSign>who: knows</StringToSign></Error>";
    let expected = "Error performing PUT http://h/b/k in 1ms - Server returned non-2xx status code: 403 Forbidden \
                    (SignatureDoesNotMatch)";
    assert_eq!(without_secrets(text), expected);
    assert_eq!(without_secrets(expected), expected);
    let code = "Server returned non-2xx status code: 500 x: <Code>AKIA1</Code>";
    assert_eq!(without_secrets(code), "Server returned non-2xx status code: 500 x");
    assert_eq!(without_secrets("Server returned error response: anything"), "Server returned error response");
}

#[test]
fn urls_with_more_than_a_place_are_refused() {
    for bad in [
        "s3://key:secret@bucket/x",
        "s3://key:se/cret@bucket/x",
        "s3://secret@bucket/x",
        "s3://key:se/cret",
        "az://container/x?sv=2&sig=secret",
        "az://container?sig=secret",
        "s3://bucket/x#secret",
        "s3://bucket:9000/x",
        "file://key:secret@host/x",
        "file:///x?sig=secret",
        "file:///x#secret",
        "file://c:/x",
        "ftp://key:secret@host/x",
        "s3://bucket/a/../b",
        "s3://bucket/a/%2E%2e/b",
        "s3://bucket/.%2e/b",
        "s3://bucket/a%2Fb",
        "file:///a%2f..%2fb",
        "file:///a/..",
        "file:///a/%2e%2e/b",
        "file:///a%00",
    ] {
        let error = check_url(bad).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret") && !text.contains("cret@"), "{text}");
    }
    for good in
        ["s3://bucket/a b+ä%26c", "file:///a..b/..c", "file:../a?b", "memory:x", "gs://b", "file:///C:/x", "data/in"]
    {
        check_url(good).unwrap();
    }
}

#[test]
fn only_signed_urls_hold_secrets() {
    for signed in ["https://h/a?X-Amz-Signature=1", "x https://u:p@h y", "https://h/a?se=1&sig=2"] {
        assert!(holds_secret(signed), "{signed}");
    }
    for other in ["https://h/a?page=2", "a sig of life", "user@h", "https://h:80/a@b"] {
        assert!(!holds_secret(other), "{other}");
    }
}

proptest! {
    /// Whatever text is around it.
    #[test]
    fn no_secret_survives(before in "[ -~ä]{0,20}", after in "[ -~ä\n]{0,20}", secret in "[A-Za-z0-9/+]{8,20}") {
        let secrets = Secrets::among([("AWS_SECRET_ACCESS_KEY".to_owned(), secret.clone())]);
        for text in [
            format!("{before}{secret}{after}"),
            format!("{before}https://u:{secret}@h{after}"),
            format!("{before}https://h/?sig={secret}{after}"),
        ] {
            prop_assert!(!secrets.hide(&text).contains(&secret));
        }
    }

    /// A URL that is let pass has nothing to hide, and a path that stays in its bucket.
    #[test]
    fn what_is_let_pass_is_harmless(url in "(s3|az|file)://[a-z@:?#/.%2eEfF0]{0,24}") {
        if check_url(&url).is_ok() {
            prop_assert_eq!(without_secrets(&url), url.as_str());
            if let Ok(parsed) = Url::parse(&url) {
                prop_assert_eq!(parsed.query(), None);
                prop_assert_eq!(parsed.username(), "");
                let path = url.split_once("://").unwrap().1.split_once('/').map_or("", |(_, path)| path);
                prop_assert_eq!(parsed.path().trim_start_matches('/'), path.trim_start_matches('/'));
            }
        }
    }
}
