//! Redacts secrets in messages, logs and records.
//!
//! A secret gets into a text in three ways: in a URL, as `user:password@` or as a signature in its query; as the value of a variable of
//! the environment, which a store may send back; and in the answer of a server, which may repeat the whole request.
//! [`Secrets::hide`] replaces all three by `***`, and changes nothing else. Every log line and every error of a store passes through
//! it.
//!
//! This is the second line of defence. The first is [`check_url`]: opening a catalog refuses a URL with secrets, so that no record can
//! hold one.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::sync::OnceLock;

use url::Url;
use url::form_urlencoded;

use super::environment;
use crate::{Error, Result};

/// The replacement of a secret.
const HIDDEN: &str = "***";

/// Shorter values are not hidden: they hold little, and hiding them would garble every text in which they happen to occur.
const SHORTEST: usize = 6;

/// The client's texts before the answer of a server, which reaches to the end of the text.
const ANSWERS: [&str; 2] = ["Server returned non-2xx status code: ", "Server returned error response: "];

/// Parameters of URLs, headers and connection strings whose values are secrets, in lower case.
const PARAMETERS: [&str; 12] = [
    "sig",
    "signature",
    "credential",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
    "awsaccesskeyid",
    "accountkey",
    "sharedaccesssignature",
    "authorization",
];

/// The secrets that are known by their values.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Vec<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// The secrets in the environment: the variables for stores that hold keys, tokens and the like; and those of the AWS profile that
    /// is used in their place. Reads files once in a process.
    pub fn of_environment() -> Secrets {
        static PROFILE: OnceLock<Vec<(String, String)>> = OnceLock::new();
        Secrets::with_environment(PROFILE.get_or_init(environment::profile_secrets).clone())
    }

    /// The same, with more settings that come from files, under the names of the variables for them.
    pub(crate) fn with_environment(settings: Vec<(String, String)>) -> Secrets {
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Secrets::among(std::env::vars_os().filter_map(text).chain(settings))
    }

    /// The secrets among variables.
    fn among(variables: impl IntoIterator<Item = (String, String)>) -> Secrets {
        let mut values = Vec::new();
        for (name, value) in variables {
            if is_secret(&name) {
                values.extend(in_all_spellings(&value));
                // A signature or key inside of the value is a secret by itself too.
                let parts = value.split(['&', ';']).filter_map(|part| part.split_once('='));
                let parts = parts.filter(|(name, _)| PARAMETERS.contains(&name.to_ascii_lowercase().as_str()));
                values.extend(parts.flat_map(|(_, part)| in_all_spellings(part)));
            }
            // Users and passwords in the URLs of endpoints and proxies, under any name.
            let user = value.split_once("://").and_then(|(_, rest)| Some(&rest[..authority(rest).1?.checked_sub(1)?]));
            let password = user.and_then(|user| Some(user.split_once(':')?.1));
            values.extend([user, password].into_iter().flatten().flat_map(in_all_spellings));
        }
        values.retain(|value| value.len() >= SHORTEST);
        // The longest first: one secret may be a part of another.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Secrets { values }
    }

    /// The text without secrets: those in URLs, known values, and answers of servers.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        let rules: [Rule<'_>; 4] =
            [&without_answer, &without_url_secrets, &without_parameters, &|text| self.without_values(text)];
        for rule in rules {
            if let Some(changed) = rule(&text) {
                text = Cow::Owned(changed);
            }
        }
        text
    }

    fn without_values(&self, text: &str) -> Option<String> {
        let found: Vec<&String> = self.values.iter().filter(|value| text.contains(value.as_str())).collect();
        (!found.is_empty())
            .then(|| found.iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN)))
    }
}

/// Returns the changed text, or none where it changes nothing.
type Rule<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A secret as it is, as URLs escape it, and decoded where it is escaped already, as signatures are.
fn in_all_spellings(secret: &str) -> Vec<String> {
    let escaped: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let plus_kept = secret.replace('+', "%2B");
    let decoded = form_urlencoded::parse(plus_kept.as_bytes()).next().map(|(decoded, _)| decoded.into_owned());
    [secret.to_owned(), escaped].into_iter().chain(decoded.filter(|_| secret.contains('%'))).collect()
}

/// Whether a variable of the environment holds a secret, by its name.
fn is_secret(name: &str) -> bool {
    let service = ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|service| name.starts_with(service));
    let secret = ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD", "CONNECTION_STRING"];
    // Names of files are no secrets.
    service && secret.iter().any(|part| name.contains(part)) && !name.ends_with("_FILE") && !name.ends_with("_URI")
}

/// Refuses a URL with a part that no catalog's URL may have: a user or password, a query or fragment, a port, or a path that leads
/// upwards. The error does not repeat anything that may be a secret.
///
/// Credentials come from the environment. A catalog's URL is printed and logged, and recorded by the versions that are made from the
/// catalog. Also one catalog should have one URL.
pub fn check_url(url: &str) -> Result<()> {
    let refused = |what: &str| Err(Error::invalid(format!("`{}` {what}", without_secrets(url))));
    let Some((scheme, rest)) = url.split_once("://") else {
        // `file:folder` and `memory:name` have no such parts.
        return Ok(());
    };
    if authority(rest).1.is_some() {
        return refused("holds credentials: put them into the environment, for example AWS_ACCESS_KEY_ID");
    }
    if rest.contains('?') {
        return refused(
            "has a query: put signatures and tokens into the environment; a `?` of a name is written `%3F`",
        );
    }
    if rest.contains('#') {
        return refused("has a fragment, which names nothing; a `#` of a name is written `%23`");
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains(':') {
        return refused(match scheme {
            // Some programs read it as a drive, others as a port.
            "file" => "has a `:` before its path: write `file:///`, and then the path",
            _ => "has a port: put the endpoint into the environment, for example AWS_ENDPOINT_URL",
        });
    }
    let upwards = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split(['/', '\\']).any(upwards) || path.to_ascii_lowercase().contains("%2f") || path.contains("%00") {
        return refused("has a path that leads upwards, or with an escaped `/` or zero: write the plain path");
    }
    Ok(())
}

/// Whether a text holds a URL with a password or a signature.
pub fn holds_secret(text: &str) -> bool {
    without_url_passwords(text).is_some() || without_parameters(text).is_some()
}

/// A text without secrets that are recognised by their form alone.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    Secrets::default().hide(text)
}

/// Splits what follows `://`: the authority, and the end of user and password if there are any. A password may hold a `/` that is not
/// escaped.
fn authority(rest: &str) -> (&str, Option<usize>) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = &rest[..end];
    if let Some(at) = host.rfind('@') {
        return (host, Some(at + 1));
    }
    let port = host.rsplit_once(':').map(|(_, port)| port);
    match port {
        Some(port) if !host.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, Some(rest.rfind('@').map_or(end, |at| at + 1)))
        }
        _ => (host, None),
    }
}

fn without_answer(text: &str) -> Option<String> {
    let start = ANSWERS.iter().filter_map(|answer| Some(text.find(answer)? + answer.len())).min()?;
    let (intro, answer) = text.split_at(start);
    let status = if intro.ends_with(ANSWERS[0]) { answer.split(": ").next().unwrap_or_default() } else { "" };
    // Keep the status and the code of the error, which is a single word.
    let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let status: String = status.chars().take(40).collect();
    let code = code.map_or(String::new(), |code| format!(" ({code})"));
    let intro = intro.trim_end_matches(": ");
    let changed = if status.is_empty() { format!("{intro}{code}") } else { format!("{intro}: {status}{code}") };
    (changed != text).then_some(changed)
}

/// Changes the URLs in a text.
fn urls(text: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (mut out, mut rest, mut changed) = (String::new(), text, false);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')'))
            .unwrap_or(after.len());
        let (url, after) = after.split_at(end);
        out.push_str(before);
        let new = change(url);
        changed |= new.is_some();
        out.push_str(new.as_deref().unwrap_or(url));
        rest = after;
    }
    out.push_str(rest);
    changed.then_some(out)
}

fn without_url_passwords(text: &str) -> Option<String> {
    urls(text, |url| {
        let (_, user) = authority(url);
        let user = user.filter(|end| !url[..*end].starts_with(HIDDEN))?;
        Some(if url[..user].ends_with('@') {
            format!("{HIDDEN}@{}", &url[user..])
        } else {
            format!("{HIDDEN}{}", &url[user..])
        })
    })
}

fn without_url_secrets(text: &str) -> Option<String> {
    let text = without_url_passwords(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let queries = urls(&text, |url| {
        let (place, more) = url.split_at(url.find(['?', '#'])? + 1);
        (more != HIDDEN).then(|| format!("{place}{HIDDEN}"))
    });
    queries.or(match text {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    })
}

/// Hides the values of parameters and headers by their names, anywhere in the text.
fn without_parameters(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut hidden: Vec<(usize, usize)> = Vec::new();
    for (at, mark) in text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'=' | b':')) {
        let start = lower.as_bytes()[..at].iter().rposition(|byte| !name(*byte)).map_or(0, |before| before + 1);
        if !PARAMETERS.contains(&&lower[start..at]) || hidden.last().is_some_and(|(_, end)| at < *end) {
            continue;
        }
        // A header ends with its line, a parameter at the next separator.
        let ends = |c: char| match mark {
            b':' => matches!(c, '\r' | '\n'),
            _ => c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | '`' | '<' | '>' | ')'),
        };
        let value = &text[at + 1..];
        let end = at + 1 + value.find(ends).unwrap_or(value.len());
        if !value[..end - at - 1].trim().is_empty() && value[..end - at - 1].trim() != HIDDEN {
            hidden.push((at + 1, end));
        }
    }
    let mut out = String::new();
    let mut from = 0;
    for (start, end) in &hidden {
        out.push_str(&text[from..*start]);
        out.push_str(HIDDEN);
        from = *end;
    }
    out.push_str(&text[from..]);
    (!hidden.is_empty()).then_some(out)
}

/// Checks and parses the URL of a remote store.
pub(crate) fn parse_checked(url: &str) -> Result<Url> {
    check_url(url)?;
    Url::parse(url).map_err(|e| Error::invalid(format!("`{}` is not a URL", without_secrets(url))).because(&e))
}

#[cfg(test)]
mod tests;
