//! From the operator's words to a store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::requests::{Counted, Requests};
use crate::retry::{Policy, Retry};
use crate::s3::{self, S3Store};
use crate::{DirStore, Store, StoreError, StoreErrorKind};

/// Environment variables, handed in so that nothing below reads them behind one's back.
/// Prints names only: values may be secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of the process; values that are no text are left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Opens the store at `url`: a path, `file:///path`, or `s3://bucket/prefix`. Transient
/// failures are retried. Nothing is asked of the store yet.
pub async fn open(url: &str, environment: &Environment) -> Result<Arc<dyn Store>, StoreError> {
    open_counted(url, environment, &Requests::default()).await
}

/// The same, and counts what is asked of the store, each attempt of what is tried again.
pub async fn open_counted(
    url: &str,
    environment: &Environment,
    requests: &Requests,
) -> Result<Arc<dyn Store>, StoreError> {
    let policy = Policy::default();
    let store: Arc<dyn Store> = match Address::parse(url)? {
        Address::Directory(path) => Arc::new(DirStore::new(path)),
        Address::Bucket { bucket, prefix } => {
            let options = s3::Options { retry: policy, ..s3::Options::default() };
            Arc::new(S3Store::connect(&bucket, &prefix, environment, options).await?)
        }
    };
    Ok(Arc::new(Retry::new(Arc::new(Counted::new(store, requests)), policy)))
}

/// A store's address.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Directory(String),
    Bucket { bucket: String, prefix: String },
}

impl Address {
    fn parse(url: &str) -> Result<Self, StoreError> {
        let invalid = |hint: &str| {
            let action = "cannot open a store";
            let shown = format!("{:?}", without_secrets(url));
            StoreError::new(StoreErrorKind::Invalid, action, shown).with_hint(hint)
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return match url {
                "" => Err(invalid("give a path, file:///path or s3://bucket/prefix with --store")),
                path => Ok(Self::Directory(path.to_owned())),
            };
        };
        match scheme {
            "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => Ok(Self::Directory(
                    percent_decode(path)
                        .ok_or_else(|| invalid("its %XX are not those of a text"))?,
                )),
                _ => Err(invalid("a file URL has three slashes before the path: file:///backups")),
            },
            "s3" if rest.split('/').next().is_some_and(|bucket| bucket.contains('@')) => {
                Err(invalid(
                    "keys are no part of the address: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                ))
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err(invalid("a store is a path, file:///path or s3://bucket/prefix")),
        }
    }
}

/// An address as it may be printed: what stands before an `@` may be a password.
fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}...{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// The path in a file URL (RFC 8089).
fn percent_decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?].map(char::from);
            let value = digits[0].to_digit(16)? * 16 + digits[1].to_digit(16)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Option<Address> {
        Some(Address::Directory(path.to_owned()))
    }

    #[test]
    fn a_path_and_a_file_url_mean_a_directory() {
        assert_eq!(Address::parse("/backups").ok(), directory("/backups"));
        assert_eq!(Address::parse("./b 100%").ok(), directory("./b 100%"));
        assert_eq!(Address::parse("file:///my%20backups").ok(), directory("/my backups"));
        assert_eq!(Address::parse("file://localhost/b").ok(), directory("/b"));
    }

    #[test]
    fn an_s3_url_is_a_bucket_and_a_prefix() {
        let bucket = |bucket: &str, prefix: &str| {
            Some(Address::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(Address::parse("s3://b").ok(), bucket("b", ""));
        assert_eq!(Address::parse("s3://b/").ok(), bucket("b", ""));
        assert_eq!(Address::parse("s3://b/x/y/").ok(), bucket("b", "x/y/"));
    }

    #[tokio::test]
    async fn a_store_that_makes_no_sense_is_refused_before_it_is_used() {
        let environment = Environment::from_iter([("AWS_ENDPOINT_URL_S3", "localhost:9000")]);
        for url in ["s3://", "s3:///x", "s3://b_/../x", "s3://user@host/x", "s3://bucket/x"] {
            let error = open(url, &environment).await.err().unwrap();
            assert_eq!(error.kind, StoreErrorKind::Invalid, "{url}: {error}");
            assert!(error.hint().is_some(), "{url}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused_with_a_hint() {
        for url in ["", "file://b", "file:///%zz", "file:///a%0", "gs://bucket", "http://host/b"] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Invalid, "{url}");
            assert!(error.hint().is_some(), "{url}");
        }
    }

    #[test]
    fn an_environment_never_prints_values() {
        let environment = Environment::from_iter([("AWS_SECRET_ACCESS_KEY", "abracadabra")]);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }
}
