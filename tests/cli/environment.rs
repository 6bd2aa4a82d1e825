//! Wrong environment variables of remote stores; and servers that have no catalog, or never answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::Server;
use crate::shell::{Ran, Shell};

/// A configuration whose catalogs are at a URL, in a new shell.
fn site(url: &str) -> Shell {
    let shell = Shell::new();
    shell.write("names/a", "a");
    shell.write(
        "application.conf",
        format!("[catalogs]\nin = 'file:in'\nout = '{url}'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n"),
    );
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=names");
    shell
}

/// A wrong variable ends every command before a request is made, with an error that names it, and without a panic.
#[test]
fn variables_that_are_wrong_are_named() {
    let keys = "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AZURE_STORAGE_ACCOUNT_NAME=a AZURE_STORAGE_TOKEN=c";
    let urls = ["localhost:9000", "http://", "http://127.0.0.1:99999", " http://127.0.0.1:1", "http://a b", "", "x"];
    let mut wrong: Vec<(&str, &str, &str)> = Vec::new();
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_METADATA_ENDPOINT"] {
        wrong.extend(urls.iter().map(|value| ("s3://bucket/x", name, *value)));
    }
    for name in ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURITE_BLOB_STORAGE_URL", "IDENTITY_ENDPOINT"] {
        wrong.extend(urls.iter().map(|value| ("az://container/x", name, *value)));
    }
    wrong.extend(urls.iter().map(|value| ("gs://bucket/x", "GOOGLE_BASE_URL", *value)));
    for url in ["s3://bucket/x", "az://container/x", "gs://bucket/x"] {
        wrong.extend([(url, "HTTPS_PROXY", "http://"), (url, "http_proxy", "a b"), (url, "ALL_PROXY", "ftp://a")]);
    }
    wrong.extend([
        ("s3://bucket/x", "AWS_REGION", "us east"),
        ("s3://bucket/x", "AWS_REGION", ""),
        ("s3://bucket/x", "AWS_ACCESS_KEY_ID", ""),
        ("s3://bucket/x", "NO_PROXY", "a\u{1b}b"),
        ("gs://bucket/x", "no_proxy", "a\nb"),
        ("az://container/x", "HTTPS_PROXY", "http://a\u{1b}b"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_NAME", ""),
        ("az://container/x", "AZURE_STORAGE_TOKEN", ""),
        ("s3://bucket/x", "AWS_SESSION_TOKEN", "line\n"),
        ("s3://bucket/x", "AWS_ALLOW_HTTP", "perhaps"),
        ("s3://bucket/x", "AWS_TIMEOUT", "soon"),
        ("az://container/x", "AZURE_STORAGE_USE_EMULATOR", "perhaps"),
        ("gs://bucket/x", "GOOGLE_SERVICE_ACCOUNT", "no/such/file"),
    ]);
    let shell = Shell::new();
    for (url, name, value) in wrong {
        let ran = shell.run(&format!("env {keys} '{name}={value}' deltic log {url}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}={value:?}: {ran:?}");
        assert!(ran.stderr.contains(name) && !ran.stderr.contains("panicked"), "{name}={value:?}: {ran:?}");
    }
    // Every command, with one of the variables.
    let site = site("s3://bucket/x");
    for line in
        ["deltic init s3://bucket/x --layer a=generic", "deltic doctor s3://bucket/x", "deltic run", "deltic plan"]
    {
        let ran = site.run(&format!("env {keys} AWS_ENDPOINT_URL=localhost:9000 {line}"));
        assert!(ran.code == 2 && ran.stderr.contains("AWS_ENDPOINT_URL"), "{line}: {ran:?}");
    }
    // Variables that are not read do not matter.
    let ran = site.run("env AWS_ENDPOINT_URL=localhost:9000 HTTP_PROXY=: deltic log file:in");
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// A missing bucket is not a missing catalog: no catalog can be created there.
#[test]
fn a_missing_bucket_is_not_a_missing_catalog() {
    for (url, code) in [("s3://bucket/x", "NoSuchBucket"), ("az://container/x", "ContainerNotFound")] {
        let none = Server::saying("404 Not Found", &format!("<Error><Code>{code}</Code><Message>no</Message></Error>"));
        let shell = site(url);
        for line in [
            "log URL",
            "ls URL",
            "init URL --layer a=generic",
            "import URL --layer names=names",
            "retain URL --last 1",
            "gc URL",
            "fsck URL",
            "plan",
            "run",
            "verify",
        ] {
            let ran = shell.run(&format!("env {} deltic {}", none.variables(), line.replace("URL", url)));
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
            assert!(ran.stderr.contains("no such bucket") && ran.stderr.contains(code), "{line}: {ran:?}");
            assert!(!ran.stderr.contains("does not exist") && !ran.stderr.contains("no catalog"), "{line}: {ran:?}");
        }
        // A missing object has another code.
        let empty = Server::saying("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
        let ran = shell.run(&format!("env {} deltic log {url}", empty.variables()));
        assert!(ran.code == 1 && ran.stderr.contains("no catalog"), "{ran:?}");
    }
}

/// A command gives up a server that never answers, or stops in the middle of an answer; here sooner than by default.
#[test]
fn silence_comes_to_an_end() {
    let stalling = Server::start(|client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nLast-Modified: Fri, 20 Nov 2026 23:00:13 GMT\r\n");
        let _ = client.write_all(b"Content-Length: 1000\r\n\r\n{");
        let _ = client.read_to_end(&mut Vec::new());
    });
    let shell = Shell::new();
    for server in [Server::silent(), stalling] {
        let variables = format!("{} AWS_TIMEOUT=50ms", server.variables());
        let ran: Ran = shell.run(&format!("env {variables} timeout 120 deltic log s3://bucket/x"));
        assert!(ran.code == 1 && ran.stderr.contains("could not be read"), "{ran:?}");
        assert!(server.asked.try_iter().count() > 3, "it was tried again");
    }
}

/// Without `AWS_ALLOW_HTTP=true` the client accepts no such server, and its own error gives no reason.
#[test]
fn a_server_without_tls_has_to_be_allowed() {
    let server = Server::saying("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
    let shell = Shell::new();
    for (url, allow) in [("s3://bucket/x", "AWS_ALLOW_HTTP"), ("az://container/x", "AZURE_ALLOW_HTTP")] {
        let ran = shell.run(&format!("env {} {allow}=false deltic log {url}", server.variables()));
        assert!(ran.code == 2 && ran.stderr.contains(&format!("set {allow}=true")), "{ran:?}");
        assert!(server.asked.try_recv().is_err(), "nothing was asked");
    }
    // An empty session token is none.
    let ran = shell.run(&format!("env {} AWS_SESSION_TOKEN= deltic log s3://bucket/x", server.variables()));
    assert!(ran.code == 1 && ran.stderr.contains("no catalog"), "{ran:?}");
    assert!(server.asked.try_iter().all(|head| !head.to_lowercase().contains("security-token")));
}

/// The reason for a missing answer is at the end of a chain of errors; the message also names the server and the proxy.
#[test]
fn no_answer_gives_its_reason_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Server { port, asked: std::sync::mpsc::channel().1 };
    let shell = Shell::new();
    let proxy = format!("HTTP_PROXY=http://proxyuser:proxypassword@127.0.0.1:{port}");
    for (url, proxy) in [("s3://bucket/x", ""), ("az://container/x", ""), ("s3://bucket/x", proxy.as_str())] {
        let line = format!("env {} AWS_TIMEOUT=5s {proxy} timeout 120 deltic log {url}", nobody.variables());
        let ran = shell.run(&line);
        assert_eq!(ran.code, 1, "{ran:?}");
        let message = ran.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(message.contains("Connection refused") && message.contains(&format!("127.0.0.1:{port}")), "{message}");
        assert_eq!(message.matches("versions/").count(), 1, "{message}");
        assert!(
            !message.contains("Generic") && !message.contains("proxypassword") && !message.contains("http://"),
            "{message}"
        );
        assert_eq!(message.contains("through the proxy of HTTP_PROXY"), !proxy.is_empty(), "{message}");
    }
    let line = "env AWS_REGION=x AWS_ACCESS_KEY_ID=keykey AWS_SECRET_ACCESS_KEY=secretsecret AWS_ALLOW_HTTP=true \
                AWS_ENDPOINT_URL=http://nowhere.invalid:9 timeout 120 deltic log s3://bucket/x";
    let ran = shell.run(line);
    assert!(ran.code == 1 && ran.stderr.contains("nowhere.invalid:9") && ran.stderr.contains("lookup"), "{ran:?}");
}

/// A store that asks to slow down a number of times, and then has no object.
fn throttled(times: usize, status: &'static str, headers: &'static str) -> Server {
    let asked = Arc::new(AtomicUsize::new(0));
    Server::start(move |client| {
        let answer = match asked.fetch_add(1, Ordering::SeqCst) < times {
            true => format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"),
            false => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        };
        drop(client.write_all(answer.as_bytes()));
    })
}

/// The limit is a time, not a number of tries: a command tries much more often than the client itself does.
#[test]
fn a_store_that_asks_to_slow_down_is_waited_for() {
    for (url, status) in [("s3://bucket/x", "503 Slow Down"), ("az://container/x", "429 Too Many Requests")] {
        let server = throttled(7, status, "Retry-After: 0\r\n");
        let ran = Shell::new().run(&format!("env {} deltic log {url}", server.variables()));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("there is no catalog"), "the answer behind it: {ran:?}");
        assert!(server.asked.try_iter().count() > 7);
    }
}

#[test]
fn how_long_a_store_is_waited_for_is_a_setting() {
    let server = throttled(usize::MAX, "503 Slow Down", "Retry-After: 3600\r\n");
    let shell = site("s3://bucket/x");
    let began = shell.run(&format!("env {} deltic plan", server.variables()));
    assert!(began.code == 1 && began.stderr.contains("503"), "longer than the two minutes: {began:?}");
    let server = throttled(1, "503 Slow Down", "Retry-After: 1\r\n");
    let ran = shell.run(&format!("env {} deltic plan --set driver.retry=30s", server.variables()));
    assert!(ran.stderr.contains("the store asks to slow down (503): next try in 1."), "{ran:?}");
    assert!(ran.code == 0 && ran.stderr.contains("a run will create it"), "{ran:?}");
    let server = throttled(7, "503 Slow Down", "Retry-After: 0\r\n");
    let ran = shell.run(&format!("env {} deltic plan --set driver.retry=false", server.variables()));
    assert!(ran.code == 1 && ran.stderr.contains("503"), "{ran:?}");
    assert!(server.asked.try_iter().count() < 7, "not at all");
}

/// A port on which no server listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Without keys in the environment, keys, region and endpoint come from the files of Amazon's own tools.
#[test]
fn profiles_are_read() {
    let server = Server::saying("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
    let shell = Shell::new();
    let url = format!("http://127.0.0.1:{}", server.port);
    shell.write(".aws/credentials", "[default]\naws_access_key_id=first\naws_secret_access_key=secretsecret\n[team]\naws_access_key_id = second\naws_secret_access_key = secretsecret\naws_session_token = third\n");
    shell.write(".aws/config", format!("[default]\nregion = here-1\nendpoint_url = {url}\n[profile team]\nregion = there-1\nendpoint_url = {url}\n[profile log-in]\nsso_session = x\n[profile bare]\nendpoint_url = localhost\n"));
    let run = |variables: &str| {
        let ran =
            shell.run(&format!("env HOME=$PWD AWS_ALLOW_HTTP=true {variables} timeout 60 deltic log s3://bucket/x"));
        (ran.code, ran.stderr, server.asked.try_iter().last().unwrap_or_default().to_lowercase())
    };
    let (code, message, head) = run("");
    assert!(code == 1 && message.contains("no catalog"), "{message}");
    assert!(head.contains("credential=first/") && head.contains("/here-1/s3/"), "{head}");
    let (_, message, head) = run("AWS_PROFILE=team");
    assert!(head.contains("credential=second/") && head.contains("/there-1/s3/"), "{message}: {head}");
    assert!(head.contains("x-amz-security-token: third"), "{head}");
    let keys =
        format!("AWS_PROFILE=team AWS_ACCESS_KEY_ID=own AWS_SECRET_ACCESS_KEY=secretsecret AWS_ENDPOINT_URL={url}");
    assert!(run(&keys).2.contains("credential=own/"), "the environment goes over files");
    // Other keys in the environment are not combined with those of a file.
    let (_, message, head) = run("AWS_SESSION_TOKEN=other");
    assert!(head.contains("credential=first/") && !head.contains("x-amz-security-token"), "{message}: {head}");
    // The usual folder may be missing or not readable: then there are no files.
    let away = format!(
        "env HOME=/dev/null AWS_ALLOW_HTTP=true AWS_ENDPOINT_URL={url} AWS_METADATA_ENDPOINT=http://127.0.0.1:{} timeout 60 deltic log s3://bucket/x",
        closed()
    );
    let message = shell.run(&away).stderr;
    assert!(message.contains("no credentials were found"), "{message}");
    for (variables, says) in [
        ("AWS_PROFILE=nobody", "the profile `nobody` of AWS_PROFILE is not in"),
        ("AWS_PROFILE=log-in", "`aws configure export-credentials --profile log-in --format env`"),
        ("AWS_PROFILE=bare", "`endpoint_url` in the files of AWS profiles is `localhost`, which is not the URL"),
        ("AWS_ALLOW_HTTP=false", "`endpoint_url` in the files of AWS profiles is `http://"),
    ] {
        let (code, message, head) = run(variables);
        assert!(code == 2 && message.contains(says) && head.is_empty(), "{variables}: {message}");
    }
}

/// The error names missing credentials, not the address from which virtual machines get theirs.
#[test]
fn missing_credentials_are_reported_as_such() {
    let (server, shell) = (Server::saying("404 Not Found", ""), Shell::new());
    let nobody = closed();
    let variables = format!(
        "AWS_ENDPOINT_URL=http://127.0.0.1:{} AWS_ALLOW_HTTP=true AWS_METADATA_ENDPOINT=http://127.0.0.1:{nobody}",
        server.port
    );
    let ran = shell.run(&format!("env HOME=$PWD {variables} timeout 120 deltic log s3://bucket/x"));
    assert!(
        ran.code == 1 && ran.stderr.contains("no credentials were found in the environment or in files"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains(&format!("127.0.0.1:{nobody}")) && ran.stderr.contains("Connection refused"),
        "{ran:?}"
    );
}

/// A server with a certificate of a private authority, as in many companies.
fn with_own_authority() -> u16 {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let pem = include_bytes!("tls/server.pem");
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_slice(pem).unwrap())
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let mut line = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), client);
            // A client that does not trust it closes the connection.
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && line.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let _ = line.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            line.conn.send_close_notify();
            let _ = line.flush();
        }
    });
    port
}

#[test]
fn certificates_of_ones_own_are_trusted() {
    let (port, shell) = (with_own_authority(), Shell::new());
    shell.write("ca.pem", include_str!("tls/ca.pem"));
    shell.write("text", "no certificate");
    shell.write("bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let keys = "AWS_REGION=x AWS_ACCESS_KEY_ID=keykey AWS_SECRET_ACCESS_KEY=secretsecret";
    let run = |variables: &str| {
        let url = format!("AWS_ENDPOINT_URL=https://localhost:{port}");
        shell.run(&format!("env {keys} {url} {variables} timeout 120 deltic log s3://bucket/x"))
    };
    let ran = run("");
    assert!(ran.code == 1 && ran.stderr.contains("certificate") && !ran.stderr.contains("no catalog"), "{ran:?}");
    for trusted in ["AWS_CA_BUNDLE=ca.pem", "SSL_CERT_FILE=ca.pem"] {
        let ran = run(trusted);
        assert!(ran.code == 1 && ran.stderr.contains("no catalog"), "{trusted}: {ran:?}");
    }
    for (file, why) in [
        ("none", "No such file"),
        ("text", "there is no certificate in it"),
        ("bad", "a certificate in it can not be read"),
        (".", "it is not a file"),
    ] {
        let ran = run(&format!("AWS_CA_BUNDLE={file}"));
        let says = format!("the variable AWS_CA_BUNDLE of the environment names `{file}`: {why}");
        assert!(ran.code == 2 && ran.stderr.contains(&says), "{ran:?}");
    }
}
