//! Endpoints without TLS, which must be allowed explicitly.

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;

use crate::backend::secrets::without_secrets;

/// The error for an endpoint without TLS that is not allowed: the client would fail at its first request without a reason. `called`
/// describes where a variable was set.
pub(super) fn without_tls(
    scheme: &str,
    variables: &[(String, String)],
    called: &dyn Fn(&str) -> String,
) -> Option<String> {
    let allow = match scheme {
        "s3" => "AWS_ALLOW_HTTP",
        "az" => "AZURE_ALLOW_HTTP",
        _ => "GOOGLE_ALLOW_HTTP",
    };
    let is_on = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y");
    let of = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| is_on(value));
    let emulated = |(name, value): &(String, String)| {
        name.starts_with("AZURE_")
            && matches!(name.to_ascii_lowercase().parse(), Ok(AzureConfigKey::UseEmulator))
            && is_on(value)
    };
    // The client for Google allows it by itself.
    let allowed = of(allow).unwrap_or(scheme == "gs") || scheme == "az" && variables.iter().any(emulated);
    let s3: Vec<AmazonS3ConfigKey> = variables
        .iter()
        .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
        .filter_map(|(name, _)| name.to_ascii_lowercase().parse().ok())
        .collect();
    let (name, value) = variables.iter().find(|(name, value)| {
        let plain = value.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("http://"));
        plain && needs_tls(scheme, name, allowed, &s3)
    })?;
    let value = without_secrets(value);
    let (value, what) = (value.escape_debug(), "which is a server without TLS");
    let allowed_at_all = name != "AWS_ENDPOINT_URL_STS";
    let name = called(name);
    Some(match allowed_at_all {
        false => format!("{name} is `{value}`, {what}: only `https://` is taken there"),
        true => format!("{name} is `{value}`, {what}: set {allow}=true to allow that, or write `https://`"),
    })
}

/// Whether a variable names a server that the client uses, and only with TLS. `s3`: the settings of the client for S3.
fn needs_tls(scheme: &str, name: &str, allowed: bool, s3: &[AmazonS3ConfigKey]) -> bool {
    let key = name.to_ascii_lowercase();
    match scheme {
        "s3" if name.starts_with("AWS_") => match key.parse() {
            Ok(AmazonS3ConfigKey::Endpoint) => !allowed && !s3.contains(&AmazonS3ConfigKey::S3Endpoint),
            Ok(AmazonS3ConfigKey::S3Endpoint) => !allowed,
            // Used only for a web identity, which keys override.
            Ok(AmazonS3ConfigKey::StsEndpoint) => {
                s3.contains(&AmazonS3ConfigKey::WebIdentityTokenFile)
                    && s3.contains(&AmazonS3ConfigKey::RoleArn)
                    && !s3.contains(&AmazonS3ConfigKey::AccessKeyId)
            }
            _ => false,
        },
        "az" if name.starts_with("AZURE_") => match key.parse() {
            Ok(AzureConfigKey::Endpoint | AzureConfigKey::AuthorityHost) => !allowed,
            _ => false,
        },
        "gs" if name.starts_with("GOOGLE_") => matches!(key.parse(), Ok(GoogleConfigKey::BaseUrl)) && !allowed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_without_tls_have_to_be_allowed() {
        let wrong = |scheme: &str, given: &[(&str, &str)]| {
            let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            without_tls(scheme, &given, &|name| format!("the variable {name} of the environment"))
        };
        let (plain, tls) = ("http://u:secretsecret@h:1", "https://h");
        for (scheme, name, allow) in [
            ("s3", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
            ("s3", "AWS_ENDPOINT_URL_S3", "AWS_ALLOW_HTTP"),
            ("az", "AZURE_STORAGE_ENDPOINT", "AZURE_ALLOW_HTTP"),
            ("az", "AZURE_AUTHORITY_HOST", "AZURE_ALLOW_HTTP"),
        ] {
            let text = wrong(scheme, &[(name, plain)]).unwrap();
            assert!(text.contains(name) && text.contains(&format!("{allow}=true")), "{text}");
            assert!(!text.contains("secretsecret"), "{text}");
            assert!(wrong(scheme, &[(name, plain), (allow, "no")]).is_some());
            for good in [[(name, plain), (allow, "Yes")], [(name, tls), ("X", plain)]] {
                assert_eq!(wrong(scheme, &good), None, "{good:?}");
            }
        }
        let emulator = ("AZURE_STORAGE_USE_EMULATOR", "true");
        assert_eq!(wrong("az", &[("AZURE_STORAGE_ENDPOINT", plain), emulator]), None);
        assert_eq!(wrong("s3", &[("AWS_METADATA_ENDPOINT", plain), ("AZURE_STORAGE_ENDPOINT", plain)]), None);
        let sts = ("AWS_ENDPOINT_URL_STS", plain);
        let web = [sts, ("AWS_ALLOW_HTTP", "true"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "r")];
        assert!(wrong("s3", &web).unwrap().contains("only `https://`"));
        // Servers that are not used.
        for unused in 1..4 {
            let rest: Vec<_> = web.iter().enumerate().filter(|(at, _)| *at != unused).map(|(_, one)| *one).collect();
            assert_eq!(wrong("s3", &rest).is_some(), unused == 1, "{rest:?}");
        }
        assert_eq!(wrong("s3", &[&web[..], &[("AWS_ACCESS_KEY_ID", "k")]].concat()), None);
        assert_eq!(wrong("s3", &[("AWS_ENDPOINT_URL", plain), ("AWS_ENDPOINT_URL_S3", tls)]), None);
        assert!(wrong("s3", &[("AWS_ENDPOINT_URL", plain), ("AWS_ENDPOINT_URL_S3", "")]).is_some());
        assert_eq!(wrong("gs", &[("GOOGLE_BASE_URL", plain)]), None);
        assert!(wrong("gs", &[("GOOGLE_BASE_URL", plain), ("GOOGLE_ALLOW_HTTP", "false")]).is_some());
    }
}
