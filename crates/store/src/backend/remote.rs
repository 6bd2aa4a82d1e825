//! The clients of remote stores: `s3://`, `az://` and `gs://`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::backend::environment::{self, certificates};
use crate::backend::redact::Redacted;
use crate::backend::retry::RetryConnector;
use crate::backend::secrets::{Secrets, parse_checked};
use crate::{Error, Result};

/// The retries of the client of a remote store. Fewer than its default, since the callers here repeat requests too: a store that
/// does not answer must be reported before minutes have passed.
const RETRIES: (usize, Duration) = (4, Duration::from_secs(45));

/// Opens the store at a URL, with settings from the environment. Makes no request.
pub(super) fn remote(url: &str, connector: RetryConnector) -> Result<Arc<dyn ObjectStore>> {
    let parsed = parse_checked(url)?;
    let Some(bucket) = parsed.host_str().filter(|host| !host.is_empty()) else {
        return Err(Error::invalid(format!("`{url}` names no bucket; expected for example `s3://bucket/folder`")));
    };
    let prefix = object_store::path::Path::from_url_path(parsed.path())
        .map_err(|e| Error::invalid(format!("`{url}`: the path is not usable")).because(&e))?;
    let scheme = parsed.scheme();
    environment::check(scheme).map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?;
    let settings = match scheme {
        "s3" => environment::s3_settings().map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?,
        _ => Vec::new(),
    };
    let named = settings.iter().map(|(key, value)| (key.as_ref().to_ascii_uppercase(), value.clone()));
    let secrets = Secrets::with_environment(named.collect());
    let failed = |error: &str, alone: &dyn Fn(&str, &str) -> Option<String>| {
        let cause = secrets.hide(error).into_owned();
        let name = environment::culprit(scheme, error, alone);
        let what = name.map_or("check the environment".to_owned(), |name| format!("check {name} in the environment"));
        Error::invalid(format!("{url}: the store could not be set up; {what}")).because(&cause)
    };
    let retry = RetryConfig {
        max_retries: RETRIES.0,
        retry_timeout: RETRIES.1,
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
    };
    match scheme {
        "s3" => {
            let trusted = certificates::s3().map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?;
            let options = trusted.into_iter().fold(ClientOptions::default(), ClientOptions::with_root_certificate);
            let builder = AmazonS3Builder::new().with_client_options(options);
            let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector);
            let builder = builder.with_conditional_put(S3ConditionalPut::ETagMatch);
            let alone = |name: &str, value: &str| {
                let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).skipping_foreign_names(), prefix))
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry)
                .with_http_connector(connector);
            let alone = |name: &str, value: &str| {
                let builder = MicrosoftAzureBuilder::new().with_container_name(bucket).with_account("account");
                let builder = builder.with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).skipping_foreign_names(), prefix))
        }
        _ => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry)
                .with_http_connector(connector);
            let alone = |name: &str, value: &str| {
                let builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket);
                let builder = builder.with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).skipping_foreign_names(), prefix))
        }
    }
}

/// Makes a client. A panic of the builder is an error too.
fn built<S>(build: impl FnOnce() -> object_store::Result<S>) -> std::result::Result<S, String> {
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(built) => built.map_err(|error| error.to_string()),
        Err(_) => Err("the client panicked".to_owned()),
    }
}

fn prefixed<S: ObjectStore>(store: S, prefix: object_store::path::Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}
