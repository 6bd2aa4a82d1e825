//! The variables of the environment that the clients of remote stores read, checked before they are used.
//!
//! A client uses an endpoint unchecked. An endpoint that is not a URL makes it panic at its first request, and so does a key with a
//! line break at its end. So every variable is checked first, and an error names the variable.

pub(crate) mod certificates;
mod profile;
mod tls;

use std::ffi::OsString;

use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use url::Url;

use crate::backend::secrets::without_secrets;
use crate::{Error, Result};

/// The kind of value that a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The URL of a server.
    Url,
    /// The URL of a proxy: other schemes, or none.
    Proxy,
    /// A part of the name of a server.
    Word,
    /// Servers that no proxy is used for.
    Hosts,
    /// A document of many lines, such as a key.
    Document,
    /// Anything else.
    Text,
}

/// The kind of a variable, for the client of a store; none if the client does not read it.
fn kind(scheme: &str, name: &str) -> Option<Kind> {
    if matches!(name, "HTTP_PROXY" | "http_proxy" | "HTTPS_PROXY" | "https_proxy" | "ALL_PROXY" | "all_proxy") {
        return Some(Kind::Proxy);
    }
    if matches!(name, "NO_PROXY" | "no_proxy") {
        return Some(Kind::Hosts);
    }
    let client = |key: ClientConfigKey| match key {
        ClientConfigKey::ProxyUrl => Kind::Proxy,
        ClientConfigKey::ProxyExcludes => Kind::Hosts,
        ClientConfigKey::ProxyCaCertificate => Kind::Document,
        _ => Kind::Text,
    };
    let key = name.to_ascii_lowercase();
    match scheme {
        "s3" if matches!(name, "AWS_PROFILE" | "AWS_SHARED_CREDENTIALS_FILE" | "AWS_CONFIG_FILE") => Some(Kind::Text),
        "s3" if name.starts_with("AWS_") => {
            use AmazonS3ConfigKey as Key;
            Some(match key.parse().ok()? {
                Key::Endpoint | Key::S3Endpoint | Key::StsEndpoint => Kind::Url,
                Key::MetadataEndpoint | Key::ContainerCredentialsFullUri => Kind::Url,
                Key::Client(key) => client(key),
                Key::Region | Key::DefaultRegion => Kind::Word,
                _ => Kind::Text,
            })
        }
        "az" if matches!(name, "AZURITE_BLOB_STORAGE_URL" | "IDENTITY_ENDPOINT") => Some(Kind::Url),
        "az" if name == "IDENTITY_HEADER" => Some(Kind::Text),
        "az" if name.starts_with("AZURE_") => {
            use AzureConfigKey as Key;
            Some(match key.parse().ok()? {
                Key::Endpoint | Key::MsiEndpoint | Key::AuthorityHost | Key::FabricTokenServiceUrl => Kind::Url,
                Key::Client(key) => client(key),
                Key::AccountName => Kind::Word,
                _ => Kind::Text,
            })
        }
        "gs" if name == "SERVICE_ACCOUNT" => Some(Kind::Text),
        "gs" if matches!(name, "GCE_METADATA_HOST" | "GCE_METADATA_ROOT" | "GCE_METADATA_IP") => Some(Kind::Word),
        "gs" if name.starts_with("GOOGLE_") => Some(match key.parse().ok()? {
            GoogleConfigKey::BaseUrl => Kind::Url,
            GoogleConfigKey::Client(key) => client(key),
            GoogleConfigKey::ServiceAccountKey => Kind::Document,
            _ => Kind::Text,
        }),
        _ => None,
    }
}

/// Checks the variables of the environment that the client of a store reads, by the scheme of the store's URL.
pub(crate) fn check(scheme: &str) -> Result<()> {
    let mut all: Vec<_> = std::env::vars_os().collect();
    // Sorted, so that the error always names the same one of several wrong variables.
    all.sort();
    for (name, value) in all {
        let Some(name) = name.to_str() else { continue };
        let Some(kind) = kind(scheme, name) else { continue };
        // See `s3_settings`.
        if value.is_empty() && matches!(name, "AWS_SESSION_TOKEN" | "AWS_TOKEN") {
            continue;
        }
        let wrong = match value.to_str() {
            Some(value) => wrong(kind, value),
            None => Some("is not UTF-8".to_owned()),
        };
        if let Some(wrong) = wrong {
            return Err(Error::invalid(format!("the variable {name} of the environment {wrong}")));
        }
    }
    let called = |name: &str| format!("the variable {name} of the environment");
    match tls::without_tls(scheme, &variables(), &called) {
        Some(wrong) => Err(Error::invalid(wrong)),
        None => Ok(()),
    }
}

/// The variables that are text, by name.
fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let mut variables: Vec<_> = std::env::vars_os().filter_map(text).collect();
    variables.sort();
    variables
}

/// The settings for S3, by the names that its client reads: those of files, then those of the environment, which override them. An
/// empty session token counts as none, as in Amazon's own tools.
pub(crate) fn s3_settings() -> Result<Vec<(AmazonS3ConfigKey, String)>> {
    let all = variables();
    let mut settings = profile::settings(&|name| std::env::var(name).ok()).map_err(Error::invalid)?;
    for (key, value) in &settings {
        // As if it were the variable.
        let kind = match key {
            AmazonS3ConfigKey::Endpoint => Kind::Url,
            // A comment after a value is part of the value. No key or token holds a space, so such a value is refused.
            _ => Kind::Word,
        };
        if let Some(wrong) = wrong(kind, value) {
            let name = if kind == Kind::Url { "endpoint_url" } else { key.as_ref() };
            return Err(Error::invalid(format!("`{name}` in the files of AWS profiles {wrong}")));
        }
        let variable = ("AWS_ENDPOINT_URL".to_owned(), value.clone());
        let called = |_: &str| "`endpoint_url` in the files of AWS profiles".to_owned();
        if kind == Kind::Url
            && let Some(wrong) = tls::without_tls("s3", &[&all[..], &[variable]].concat(), &called)
        {
            return Err(Error::invalid(wrong));
        }
    }
    // A secret key or token that is left in the environment does not belong to the key id of a file.
    let has_keys = settings.iter().any(|(key, _)| *key == AmazonS3ConfigKey::AccessKeyId);
    let ours = all.into_iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
    let ours = ours.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)));
    let is_of_keys =
        |key: &AmazonS3ConfigKey| matches!(key, AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::Token);
    settings.extend(ours.filter(|(key, _)| !(has_keys && is_of_keys(key))));
    Ok(settings)
}

/// The settings in the files of AWS profiles, under the names of the variables for them. None where the files can not be read: opening
/// a store returns that error.
pub(crate) fn profile_secrets() -> Vec<(String, String)> {
    let settings = profile::settings(&|name| std::env::var(name).ok()).unwrap_or_default();
    settings.into_iter().map(|(key, value)| (key.as_ref().to_ascii_uppercase(), value)).collect()
}

/// The variable that prevents a client from being made, if it alone gives the same error.
pub(crate) fn culprit(scheme: &str, error: &str, alone: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let is_it = |name: &str, value: &str| alone(&name.to_ascii_lowercase(), value).as_deref() == Some(error);
    let found = variables().into_iter().find(|(name, value)| kind(scheme, name).is_some() && is_it(name, value));
    found.map(|(name, _)| name)
}

/// What is wrong with a value. Repeats only names of servers: anything else may be a secret.
fn wrong(kind: Kind, value: &str) -> Option<String> {
    if kind == Kind::Document {
        return None;
    }
    if value.chars().any(char::is_control) {
        return Some("holds a control character, such as a line break at its end".to_owned());
    }
    if kind == Kind::Hosts {
        return None;
    }
    if value.trim() != value {
        return Some("begins or ends with a space".to_owned());
    }
    let shown = without_secrets(value);
    match kind {
        Kind::Url => {
            let why = not_http(value)?;
            let example = "expected for example `http://localhost:9000`";
            Some(match value.is_empty() {
                true => "is empty: unset it".to_owned(),
                false => format!("is `{}`, which is not the URL of a server: {why}; {example}", shown.escape_debug()),
            })
        }
        Kind::Proxy if value.is_empty() => None,
        Kind::Proxy => {
            let why = not_proxy(value)?;
            let example = "expected for example `http://localhost:3128`";
            Some(format!("is `{}`, which is not the URL of a proxy: {why}; {example}", shown.escape_debug()))
        }
        // The client would use an empty word or key, and the server would refuse it.
        Kind::Word | Kind::Text if value.is_empty() => Some("is empty: unset it".to_owned()),
        Kind::Word => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
            let bad = !value.chars().all(fits);
            bad.then(|| format!("is `{}`, which can not be part of the name of a server", shown.escape_debug()))
        }
        Kind::Document | Kind::Hosts | Kind::Text => None,
    }
}

/// Why a client does not accept a text as the URL of a server.
fn not_http(text: &str) -> Option<String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some("it does not begin with `http://` or `https://`".to_owned());
    };
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Some("it does not begin with `http://` or `https://`".to_owned());
    }
    not_server(text, rest)
}

fn not_proxy(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h" => not_server(&format!("http://{rest}"), rest),
        _ => Some(format!("`{}` is not the scheme of a proxy", scheme.escape_debug())),
    }
}

/// Why the text after a scheme names no server. Stricter than the standard of URLs, which repairs what clients refuse.
fn not_server(url: &str, rest: &str) -> Option<String> {
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Some("it names no server".to_owned());
    }
    let odd = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c);
    if let Some(odd) = rest.chars().find(|c| odd(*c)) {
        return Some(format!("it holds a `{}`", odd.escape_debug()));
    }
    if rest.contains(['?', '#']) {
        return Some("it has a query or a fragment".to_owned());
    }
    Url::parse(url).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_that_is_read_has_a_kind() {
        for (scheme, name, expected) in [
            ("s3", "AWS_ENDPOINT", Kind::Url),
            ("s3", "AWS_ENDPOINT_URL", Kind::Url),
            ("s3", "AWS_ENDPOINT_URL_S3", Kind::Url),
            ("s3", "AWS_ENDPOINT_URL_STS", Kind::Url),
            ("s3", "AWS_METADATA_ENDPOINT", Kind::Url),
            ("s3", "AWS_CONTAINER_CREDENTIALS_FULL_URI", Kind::Url),
            ("s3", "AWS_PROXY_URL", Kind::Proxy),
            ("s3", "AWS_REGION", Kind::Word),
            ("s3", "AWS_SECRET_ACCESS_KEY", Kind::Text),
            ("az", "AZURE_STORAGE_ENDPOINT", Kind::Url),
            ("az", "AZURE_ENDPOINT", Kind::Url),
            ("az", "AZURE_MSI_ENDPOINT", Kind::Url),
            ("az", "IDENTITY_ENDPOINT", Kind::Url),
            ("az", "AZURE_AUTHORITY_HOST", Kind::Url),
            ("az", "AZURITE_BLOB_STORAGE_URL", Kind::Url),
            ("az", "AZURE_PROXY_URL", Kind::Proxy),
            ("az", "AZURE_USE_FABRIC_ENDPOINT", Kind::Text),
            ("gs", "GOOGLE_BASE_URL", Kind::Url),
            ("gs", "GOOGLE_PROXY_URL", Kind::Proxy),
            ("gs", "GOOGLE_SERVICE_ACCOUNT_KEY", Kind::Document),
            ("gs", "GOOGLE_SERVICE_ACCOUNT", Kind::Text),
            ("gs", "HTTPS_PROXY", Kind::Proxy),
            ("az", "no_proxy", Kind::Hosts),
            ("s3", "AWS_PROXY_EXCLUDES", Kind::Hosts),
            ("s3", "AWS_PROFILE", Kind::Text),
            ("gs", "GOOGLE_PROXY_CA_CERTIFICATE", Kind::Document),
        ] {
            assert_eq!(kind(scheme, name), Some(expected), "{name}");
        }
        for (scheme, name) in [("az", "AWS_PROFILE"), ("s3", "AZURE_ENDPOINT"), ("az", "AWS_ENDPOINT"), ("s3", "HOME")]
        {
            assert_eq!(kind(scheme, name), None, "{name}");
        }
    }

    #[test]
    fn places_of_servers_are_checked() {
        for good in [
            "http://localhost:9000",
            "https://host",
            "http://u:p@127.0.0.1:9000/path/",
            "http://[::1]:80",
            "HTTP://host",
        ] {
            assert_eq!((wrong(Kind::Url, good), wrong(Kind::Proxy, good)), (None, None), "{good}");
        }
        for good in ["localhost:3128", "socks5://host:1080", "u:p@host:1", ""] {
            assert_eq!(wrong(Kind::Proxy, good), None, "{good}");
        }
        for bad in [
            "localhost:9000",
            "http://",
            "http:///x",
            "http:localhost",
            "http://:9000",
            "http://host:99999",
            " http://host",
            "http://host\n",
            "http://ho st",
            "http://hóst",
            "http://host\\x",
            "http://host?x",
            "http://[::1",
            "ftp://host",
            "",
        ] {
            assert!(wrong(Kind::Url, bad).is_some(), "{bad:?}");
            // Valid for a proxy.
            let proxy = matches!(bad, "" | "localhost:9000");
            assert_eq!(wrong(Kind::Proxy, bad).is_none(), proxy, "{bad:?}");
        }
        assert_eq!(
            wrong(Kind::Text, "secret\n"),
            Some("holds a control character, such as a line break at its end".into())
        );
        assert_eq!(wrong(Kind::Document, "{\n  \"private_key\": \"\"\n}\n"), None);
        assert!(wrong(Kind::Word, "us east-1").is_some() && wrong(Kind::Word, "us-east-1").is_none());
        assert!(wrong(Kind::Word, "").is_some() && wrong(Kind::Text, "").is_some(), "an empty one is one");
        assert!(
            wrong(Kind::Hosts, "a\u{1b}b").is_some()
                && wrong(Kind::Hosts, "").or(wrong(Kind::Hosts, "a, b ")).is_none()
        );
        let text = wrong(Kind::Url, "http://user:password@ho st").unwrap();
        assert!(!text.contains("password"), "{text}");
    }
}
