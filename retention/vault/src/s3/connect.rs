//! From an address and the environment to a client.
//!
//! Settings are those of every S3 tool: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION,
//! AWS_ACCESS_KEY_ID and its companions, AWS_PROFILE and the files behind it, web identity and
//! container or instance roles, AWS_CA_BUNDLE.

use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::Context;
use crate::open::Environment;
use crate::retry::Policy;
use crate::{StoreError, StoreErrorKind};

/// How long calls may take, and how often the parts of an upload are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Until a connection stands.
    pub connect: Duration,
    /// From the begin of a call to its answer; for content, see `slowest` as well.
    pub call: Duration,
    /// Bytes a second below which sending content is given up. Adds to `call` by the size.
    pub slowest: u64,
    /// A body that does not move for so long is given up.
    pub stalled: Duration,
    /// For the calls of an upload.
    pub retry: Policy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(60),
            slowest: 64 << 10,
            stalled: Duration::from_secs(30),
            retry: Policy::default(),
        }
    }
}

impl Options {
    /// The limit for sending `bytes` of content.
    pub(super) fn sending(&self, bytes: usize) -> TimeoutConfig {
        let seconds = bytes as u64 / self.slowest.max(1);
        self.limit(self.call + Duration::from_secs(seconds))
    }

    /// The limit for calls that the server may work on for long: joining parts, deleting a batch.
    pub(super) fn working(&self) -> TimeoutConfig {
        self.limit(self.call * 5)
    }

    fn limit(&self, attempt: Duration) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(attempt)
            .build()
    }
}

/// A bucket's name: what DNS allows, and the upper case and underscores of old buckets.
pub(super) fn is_bucket(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// The endpoint the operator has set, if any.
pub(super) fn endpoint(environment: &Environment) -> Option<&str> {
    environment.get("AWS_ENDPOINT_URL_S3").or_else(|| environment.get("AWS_ENDPOINT_URL"))
}

/// A client for the store that `context` describes.
pub(super) async fn client(
    environment: &Environment,
    options: &Options,
    context: &mut Context,
) -> Result<Client, StoreError> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(environment, context)?)
        // One call is one request; repeating is the store's and its wrapper's.
        .retry_config(RetryConfig::disabled())
        .timeout_config(options.limit(options.call))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .upload_enabled(true)
                .grace_period(options.stalled)
                .build(),
        )
        // What is sent asks for its checksum call by call. What is read is checked against the
        // manifest.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(profile) = environment.get("AWS_PROFILE") {
        loader = loader.profile_name(profile);
    }
    if let (Some(id), Some(secret)) =
        (environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY"))
    {
        let token = environment.get("AWS_SESSION_TOKEN").map(str::to_owned);
        loader =
            loader.credentials_provider(Credentials::new(id, secret, token, None, "environment"));
    }
    let region = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
    let endpoint = endpoint(environment);
    if let Some(endpoint) = endpoint {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let action = format!("cannot use the endpoint {endpoint:?}");
            let error = context.error(StoreErrorKind::Invalid, action);
            return Err(error.with_hint("AWS_ENDPOINT_URL_S3 begins with http:// or https://"));
        }
        loader = loader.endpoint_url(endpoint);
    }
    loader = match (region, endpoint) {
        (Some(region), _) => loader.region(Region::new(region.to_owned())),
        // Other servers mostly care for no region, and no metadata service need be asked.
        (None, Some(_)) => loader.region(
            RegionProviderChain::first_try(ProfileFileRegionProvider::new())
                .or_else(Region::from_static("us-east-1")),
        ),
        (None, None) => loader,
    };
    let shared = loader.load().await;
    if shared.region().is_none() {
        let error = context.error(StoreErrorKind::Invalid, "cannot tell the region of the bucket");
        return Err(error.with_hint("set AWS_REGION, or AWS_ENDPOINT_URL_S3 for another server"));
    }
    let custom = shared.endpoint_url().is_some();
    if let Some(endpoint) = shared.endpoint_url() {
        context.endpoint = without_user(endpoint);
    }
    let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(custom).build();
    Ok(Client::from_conf(config))
}

/// An endpoint as it may be shown: someone may have put a password into it.
fn without_user(endpoint: &str) -> String {
    match endpoint
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)))
    {
        Some((scheme, (_, host))) => format!("{scheme}://{host}"),
        None => endpoint.to_owned(),
    }
}

/// HTTP over rustls and ring.
fn http_client(
    environment: &Environment,
    context: &Context,
) -> Result<SharedHttpClient, StoreError> {
    let mut builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    if let Some(path) = environment.get("AWS_CA_BUNDLE") {
        let failed = |source: crate::error::Cause| {
            let action = format!("cannot use the authorities in {path:?}");
            let error = context.error(StoreErrorKind::Invalid, action).with_source(source);
            error.with_hint("AWS_CA_BUNDLE names a file of certificates in PEM form")
        };
        let bundle = std::fs::read(path).map_err(|error| failed(error.into()))?;
        check_bundle(&bundle).map_err(failed)?;
        let trusted = TrustStore::empty().with_pem_certificate(bundle);
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        builder = builder.tls_context(tls.map_err(|error| failed(error.into()))?);
    }
    Ok(builder.build_https())
}

/// The client panics on certificates that cannot be read, so they are read before.
fn check_bundle(bundle: &[u8]) -> Result<(), crate::error::Cause> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("there is no certificate in it".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_are_checked() {
        for name in ["backups", "my.bucket-1", "Old_Bucket", "123"] {
            assert!(is_bucket(name), "{name}");
        }
        for name in ["", "ab", "-abc", "a/b", "a b", "bücket", "a:b", "u@h", &"a".repeat(256)] {
            assert!(!is_bucket(name), "{name}");
        }
    }

    #[test]
    fn endpoints_are_shown_without_passwords() {
        assert_eq!(without_user("http://u:p@host:9000/x"), "http://host:9000/x");
        assert_eq!(without_user("https://host"), "https://host");
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        assert!(check_bundle(b"").is_err());
        assert!(check_bundle(b"hello").is_err());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(check_bundle(broken).is_err());
    }
}
