//! The reason why a request failed, in one line. The client's error describes its own steps: these are left out. It lacks the causes at
//! the end of the chain: these are added.
//!
//! ```text
//! no answer to GET from 127.0.0.1:9000 through the proxy of HTTP_PROXY, localhost:3128, after 4 retries: client error
//! (Connect): tcp connect error: Connection refused (os error 111)
//! ```

use std::error::Error as StdError;

use object_store::Error;
use url::Url;

/// The paths at which virtual machines request their credentials, at any address.
pub(crate) const METADATA: [&str; 4] =
    ["/latest/api/token", "/latest/meta-data/iam/", "/metadata/identity/oauth2/token", "/computeMetadata/v1/instance/"];

/// The text before a request in an error of the client.
const REQUEST: &str = "Error performing ";

/// The cause of an error of a store, without the object: the caller names it.
pub(crate) fn of(error: &Error) -> String {
    match error {
        Error::Generic { source, .. }
        | Error::NotFound { source, .. }
        | Error::AlreadyExists { source, .. }
        | Error::Precondition { source, .. }
        | Error::NotModified { source, .. }
        | Error::PermissionDenied { source, .. }
        | Error::Unauthenticated { source, .. }
        | Error::NotSupported { source } => in_full(&**source),
        other => in_full(other),
    }
}

/// Whether the store has refused a request, so that it certainly did nothing: for lack of permission, or of room. After any other error
/// the request may have taken effect.
pub(crate) fn is_refusal(error: &Error) -> bool {
    if matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) {
        return true;
    }
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(cause.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
    })
}

/// An error with all its causes, none of them twice.
pub(crate) fn in_full(error: &dyn StdError) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !all.contains(&text) {
            all.push_str(": ");
            all.push_str(&text);
        }
        next = cause.source();
    }
    plain(&all, &|name| std::env::var(name).ok()).unwrap_or(all)
}

/// Shortens the error of a request to the method, the server, the number of retries, and the reason. `None` for any other text.
fn plain(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let begin = text.match_indices(REQUEST).map(|(at, _)| &text[at + REQUEST.len()..]);
    let begin = begin.last().filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))?;
    let (request, why) = begin.split_once(" - ")?;
    let mut words = request.split(' ');
    let (method, uri) = (words.next()?, words.next()?);
    let server = Url::parse(uri).ok().and_then(|url| {
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let proxy = proxy(&url, host, variable).map(|proxy| format!(" through the proxy of {proxy}"));
        Some(format!(" from {host}:{port}{}", proxy.unwrap_or_default()))
    });
    let retries = request.split_once(", after ").and_then(|(_, rest)| rest.split_once(" retries"));
    let retries = retries.map(|(number, _)| match number {
        "1" => ", after a retry".to_owned(),
        number => format!(", after {number} retries"),
    });
    // The client requests these only where it has found no credentials elsewhere.
    if METADATA.iter().any(|place| uri.contains(place)) {
        let place = server.as_deref().map_or(uri, |server| server.trim_start_matches(" from "));
        let why = why.trim_start_matches("HTTP error: ").trim_start_matches("error sending request: ");
        return Some(format!(
            "no credentials were found in the environment or in files, and no virtual machine gives any ({place}): {why}"
        ));
    }
    let (what, why) = match why.strip_prefix("HTTP error: ") {
        Some(why) => ("no answer to ", why.strip_prefix("error sending request: ").unwrap_or(why)),
        None => ("", why),
    };
    Some(format!("{what}{method}{}{}: {why}", server.unwrap_or_default(), retries.unwrap_or_default()))
}

/// The variable that names a proxy for a URL, and the proxy's address without user and password.
fn proxy(url: &Url, host: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let either = |name: &str| {
        let found = |name: String| variable(&name).filter(|value| !value.is_empty()).map(|value| (name, value));
        found(name.to_owned()).or_else(|| found(name.to_lowercase()))
    };
    let excepted = either("NO_PROXY").is_some_and(|(_, hosts)| {
        hosts.split(',').map(str::trim).any(|one| {
            let domain = one.trim_start_matches('.');
            // A network may hold the server or not: then name no proxy.
            one == "*" || one.contains('/') || host == domain || host.ends_with(&format!(".{domain}"))
        })
    });
    let (name, value) = either(&format!("{}_PROXY", url.scheme().to_uppercase())).or_else(|| either("ALL_PROXY"))?;
    let value = if value.contains("://") { value } else { format!("http://{value}") };
    let (_, rest) = value.split_once("://")?;
    let place = Url::parse(&format!("http://{rest}")).ok()?;
    let port = place.port().map(|port| format!(":{port}")).unwrap_or_default();
    (!excepted).then(|| format!("{name}, {}{port}", place.host_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Error performing list request: Error performing GET http://user:secret@h:90/b?sig=secret in 3.1s, \
                        after 4 retries, max_retries: 4, retry_timeout: 45s  - HTTP error: error sending request: client \
                        error (Connect): Connection refused (os error 111)";

    fn shortened(text: &str, variables: &[(&str, &str)]) -> Option<String> {
        plain(text, &|name| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned()))
    }

    #[test]
    fn a_failed_request_names_server_and_reason() {
        let why = "client error (Connect): Connection refused (os error 111)";
        let expected = |through: &str| Some(format!("no answer to GET from h:90{through}, after 4 retries: {why}"));
        assert_eq!(shortened(TEXT, &[]), expected(""));
        let proxy = ("HTTP_PROXY", "http://user:secret@p:3128/");
        let through = " through the proxy of HTTP_PROXY, p:3128";
        assert_eq!(shortened(TEXT, &[proxy, ("HTTPS_PROXY", "q:1"), ("NO_PROXY", "a,.b")]), expected(through));
        assert_eq!(shortened(TEXT, &[("all_proxy", "q:1")]), expected(" through the proxy of all_proxy, q:1"));
        for none in ["*", "a, h", "10.0.0.0/8"] {
            assert_eq!(shortened(TEXT, &[proxy, ("no_proxy", none)]), expected(""), "{none}");
        }
        let refused =
            "Error performing PUT https://h/x in 1s - Server returned non-2xx status code: 403 Forbidden: (No)";
        let expected = "PUT from h:443: Server returned non-2xx status code: 403 Forbidden: (No)";
        assert_eq!(shortened(refused, &[]).as_deref(), Some(expected));
        let none = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: timed out";
        let expected = "no credentials were found in the environment or in files, and no virtual machine gives any \
                        (169.254.169.254:80): timed out";
        assert_eq!(shortened(none, &[]).as_deref(), Some(expected));
        for other in ["", "disk full", "Error performing list request: x - y", "Error performing "] {
            assert_eq!(shortened(other, &[]), None);
        }
    }

    #[test]
    fn causes_are_printed_once_and_objects_not_at_all() {
        let source = std::io::Error::other(std::io::Error::other("refused"));
        let error = Error::NotFound { path: "a/b".to_owned(), source: Box::new(source) };
        assert_eq!(of(&error), "refused");
    }
}
