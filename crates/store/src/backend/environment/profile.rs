//! Credentials for S3 from the files of Amazon's own tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! The environment overrides the files. Files are read only where the environment has no credentials at all, and only for settings
//! that can be used directly: keys, a region, an endpoint. A profile that gets its credentials by a log-in, a role or a program is
//! refused; the error states what to do instead.

use std::collections::BTreeMap;
use std::path::PathBuf;

use object_store::aws::AmazonS3ConfigKey as Key;

/// The profile that is used where none is named.
const DEFAULT: &str = "default";

/// The longest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Keys of a profile that gets its credentials in another way.
const OTHER_WAYS: [&str; 6] =
    ["sso_session", "sso_start_url", "role_arn", "credential_process", "login_session", "web_identity_token_file"];

/// The settings of the files that the environment does not have, or what is wrong with the files. `variable` reads the environment.
///
/// Cost: two files, once for each store that is opened; none where the environment has credentials.
pub(crate) fn settings(variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(Key, String)>, String> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let own = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
    let others = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SKIP_SIGNATURE"];
    if own.into_iter().chain(others).any(|name| variable(name).is_some()) {
        return Ok(Vec::new());
    }
    let named = variable("AWS_PROFILE");
    let name = named.as_deref().unwrap_or(DEFAULT);
    let place = |by: &str, file: &str| {
        variable(by).map(PathBuf::from).or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws").join(file)))
    };
    let (credentials, config) =
        (place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), place("AWS_CONFIG_FILE", "config"));
    let mut profile = BTreeMap::new();
    let mut found = false;
    // Where both files have a setting, the first one counts.
    for (file, by, section) in [
        (&credentials, "AWS_SHARED_CREDENTIALS_FILE", name.to_owned()),
        (&config, "AWS_CONFIG_FILE", format!("profile {name}")),
    ] {
        let Some(file) = file else { continue };
        let Some(text) = read(file, named.is_none() && variable(by).is_none())? else { continue };
        let mut sections = sections(&text).map_err(|line| {
            format!(
                "{}: line {line} begins with `[` and has no `]`, so it is not the start of a profile",
                file.display()
            )
        })?;
        let section = sections.remove(section.as_str()).or_else(|| sections.remove(name).filter(|_| name == DEFAULT));
        found |= section.is_some();
        for (key, value) in section.into_iter().flatten().filter(|(_, value)| !value.is_empty()) {
            profile.entry(key).or_insert(value);
        }
    }
    let files = || {
        let files: Vec<String> =
            [&credentials, &config].into_iter().flatten().map(|file| file.display().to_string()).collect();
        if files.is_empty() { "no file: HOME is not set".to_owned() } else { files.join(" or ") }
    };
    match named {
        Some(name) if !found => return Err(format!("the profile `{name}` of AWS_PROFILE is not in {}", files())),
        _ => {}
    }
    // Also where the profile has keys: the other way begins with them, or does not use them.
    if let Some(way) = OTHER_WAYS.iter().find(|way| profile.contains_key(**way)) {
        return Err(format!(
            "the profile `{name}` in {} gets its credentials by `{way}`, which is not supported here; set the \
             variables that `aws configure export-credentials --profile {name} --format env` prints",
            files()
        ));
    }
    if profile.contains_key("aws_access_key_id") && !profile.contains_key("aws_secret_access_key") {
        return Err(format!("the profile `{name}` in {} has a key and no `aws_secret_access_key`", files()));
    }
    let known = [
        ("aws_access_key_id", Key::AccessKeyId),
        ("aws_secret_access_key", Key::SecretAccessKey),
        ("aws_session_token", Key::Token),
        ("region", Key::Region),
        ("endpoint_url", Key::Endpoint),
    ];
    Ok(known.into_iter().filter_map(|(name, key)| Some((key, profile.remove(name)?))).collect())
}

/// The text of a file; none where it does not exist, or lies in the usual place and can not be reached.
fn read(file: &PathBuf, is_usual: bool) -> Result<Option<String>, String> {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let is_none = |kind| kind == NotFound || is_usual && matches!(kind, NotADirectory | PermissionDenied);
    match std::fs::metadata(file) {
        Err(error) if is_none(error.kind()) => return Ok(None),
        Err(error) => return Err(failed(&error)),
        Ok(found) if !found.is_file() => return Err(failed(&"it is not a file")),
        Ok(found) if found.len() > MAX_FILE_BYTES => return Err(failed(&"it has more than 1 MiB")),
        Ok(_) => {}
    }
    match std::fs::read_to_string(file) {
        Err(error) if is_none(error.kind()) => Ok(None),
        read => read.map(Some).map_err(|error| failed(&error)),
    }
}

/// The sections of a file, with their keys and values; or the number of a line with a section's `[` and no `]`. Indented lines belong
/// to the key above them, and no such key is used here.
fn sections(text: &str) -> Result<BTreeMap<&str, BTreeMap<String, String>>, usize> {
    let mut sections: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1usize..).zip(text.lines()).filter(|(_, line)| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(rest) = line.strip_prefix('[') {
            let (name, _) = rest.split_once(']').ok_or(number)?;
            section = Some(sections.entry(name.trim()).or_default());
        } else if let (Some(section), Some((key, value))) = (&mut section, line.split_once('=')) {
            section.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = a\naws_secret_access_key=b=\n\n[other]\naws_access_key_id = c\n\
                               aws_secret_access_key = d\naws_session_token = e\n[half]\naws_access_key_id = x\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  endpoint_url = http://nested\n[profile other]\nregion = eu-north-1\n\
                          endpoint_url = http://localhost:9000\naws_access_key_id = not this\n[profile role]\nrole_arn = arn\n\
                          [profile both]\nrole_arn = arn\naws_access_key_id = x\naws_secret_access_key = y\n\
                          [profile sso]\nsso_session = x\n[other]\nregion = not this one\n";

    fn of(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(folder.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(folder.path().join(".aws/config"), CONFIG).unwrap();
        let home = folder.path().display().to_string();
        let variable = |name: &str| match variables.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Some((*value).replace("HOME", &home)),
            None => (name == "HOME").then(|| home.clone()),
        };
        let settings = settings(&variable).map_err(|error| error.replace(&home, "HOME"))?;
        Ok(settings.into_iter().map(|(key, value)| format!("{}={value}", key.as_ref())).collect())
    }

    #[test]
    fn a_profile_is_read_from_both_files() {
        let default = ["aws_access_key_id=a", "aws_secret_access_key=b=", "aws_region=eu-west-1"];
        assert_eq!(of(&[]).unwrap(), default);
        assert_eq!(of(&[("AWS_PROFILE", ""), ("AWS_ACCESS_KEY_ID", "")]).unwrap(), default, "empty is not set");
        let other = of(&[("AWS_PROFILE", "other")]).unwrap();
        assert_eq!(other[..3], ["aws_access_key_id=c", "aws_secret_access_key=d", "aws_session_token=e"]);
        assert_eq!(other[3..], ["aws_region=eu-north-1", "aws_endpoint=http://localhost:9000"]);
    }

    #[test]
    fn the_environment_overrides_files() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
            assert_eq!(of(&[(name, "x"), ("AWS_PROFILE", "nobody")]).unwrap(), [""; 0], "{name}");
        }
        let elsewhere = [("AWS_SHARED_CREDENTIALS_FILE", "HOME/.aws/config"), ("AWS_CONFIG_FILE", "HOME/none")];
        assert_eq!(of(&elsewhere).unwrap(), ["aws_region=eu-west-1"]);
        assert_eq!(of(&[("HOME", "HOME/none")]).unwrap(), [""; 0], "without files there are no settings");
    }

    #[test]
    fn files_are_read_as_people_write_them() {
        let read = |text: &str| {
            let sections = sections(text)?;
            Ok::<_, usize>(
                sections.get("a").map(|section| section.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>()),
            )
        };
        assert_eq!(
            read("\u{feff}[a]\r\nX = 1\r\n[b]\nx=2\n[ a ]\ny = 3 # here\n"),
            Ok(Some(vec!["x=1".to_owned(), "y=3 # here".to_owned()]))
        );
        assert_eq!(read("[a]\nx=1\n[b\nx=2\n"), Err(3), "nor is it of the section above");
        assert_eq!(read("x=1\n"), Ok(None));
    }

    #[test]
    fn errors_state_what_to_do() {
        let files = "HOME/.aws/credentials or HOME/.aws/config";
        let error = |name: &str| of(&[("AWS_PROFILE", name)]).unwrap_err();
        assert_eq!(error("nobody"), format!("the profile `nobody` of AWS_PROFILE is not in {files}"));
        assert!(error("sso").contains("by `sso_session`") && error("sso").contains("--profile sso --format env"));
        assert!(error("role").contains("by `role_arn`") && error("both").contains("by `role_arn`"));
        assert_eq!(error("half"), format!("the profile `half` in {files} has a key and no `aws_secret_access_key`"));
        let folder = of(&[("AWS_CONFIG_FILE", "HOME")]).unwrap_err();
        assert_eq!(folder, "HOME: it is not a file");
    }
}
