//! The certificates that are trusted besides those of the machine.

use object_store::client::{HttpConnector, ReqwestConnector};
use object_store::{Certificate, ClientOptions};

use crate::{Error, Result};

/// The longest file of certificates. The usual bundles have 250 KB.
const MAX_CERTIFICATE_BYTES: u64 = 16 << 20;

/// The certificates for S3: those of the file that `AWS_CA_BUNDLE` names.
pub(crate) fn s3() -> Result<Vec<Certificate>> {
    let Some(file) = std::env::var_os("AWS_CA_BUNDLE").filter(|file| !file.is_empty()) else { return Ok(Vec::new()) };
    let failed = |what: &dyn std::fmt::Display| {
        let shown = file.to_string_lossy();
        Error::invalid(format!(
            "the variable AWS_CA_BUNDLE of the environment names `{}`: {what}",
            shown.escape_debug()
        ))
    };
    match std::fs::metadata(&file) {
        Err(error) => return Err(failed(&error)),
        Ok(found) if !found.is_file() => return Err(failed(&"it is not a file")),
        Ok(found) if found.len() > MAX_CERTIFICATE_BYTES => return Err(failed(&"it is too long for certificates")),
        Ok(_) => {}
    }
    let bytes = std::fs::read(&file).map_err(|error| failed(&error))?;
    let found = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if found.is_empty() {
        return Err(failed(&"there is no certificate in it (PEM)"));
    }
    // Only making a client parses the certificates.
    let options = found.iter().cloned().fold(ClientOptions::default(), ClientOptions::with_root_certificate);
    match ReqwestConnector::default().connect(&options) {
        Ok(_) => Ok(found),
        Err(_) => Err(failed(&"a certificate in it can not be read")),
    }
}
