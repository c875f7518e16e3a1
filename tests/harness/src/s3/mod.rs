//! A small S3 client for preparing, looking into and damaging what a test works on.
//!
//! It is written against the protocol and shares no code with the program under test, so that a
//! mistake there is not made here again.

pub(crate) mod http;
mod server;
mod sign;

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::error::Error;

pub use http::Response;
pub(crate) use server::{ACCESS_KEY, DATA, SECRET_KEY};
pub use server::{Program, Server};
use sign::Signer;

/// Region of every S3 server here.
pub const REGION: &str = "us-east-1";

/// A server's address and a user's keys.
#[derive(Clone)]
pub struct Client {
    address: String,
    signer: Signer,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a new bucket can do beyond the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Keeps replaced and deleted objects as versions.
    pub versioning: bool,
    /// Allows retention and legal holds; implies versioning.
    pub object_lock: bool,
}

impl Client {
    /// A client for `HOST:PORT`, without TLS.
    #[must_use]
    pub fn new(address: &str, access_key: &str, secret_key: &str) -> Self {
        Self { address: address.to_owned(), signer: Signer::new(access_key, secret_key) }
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create_bucket(&self, name: &str, with: Bucket) -> Result<(), Error> {
        let lock: &[_] =
            if with.object_lock { &[("x-amz-bucket-object-lock-enabled", "true")] } else { &[] };
        self.expect("PUT", &format!("/{name}"), &[], lock, b"")?;
        if with.versioning && !with.object_lock {
            let body = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
            self.expect("PUT", &format!("/{name}"), &[("versioning", "")], &[], body)?;
        }
        Ok(())
    }

    /// The names of all buckets.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn list_buckets(&self) -> Result<Vec<String>, Error> {
        Ok(elements(&self.expect("GET", "/", &[], &[], b"")?.text(), "Name"))
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Result<(), Error> {
        self.expect("PUT", &format!("/{bucket}/{key}"), &[], &[], body).map(drop)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When it is missing, for instance.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, Error> {
        Ok(self.expect("GET", &format!("/{bucket}/{key}"), &[], &[], b"")?.body)
    }

    /// Deletes an object; it may be missing.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.expect("DELETE", &format!("/{bucket}/{key}"), &[], &[], b"").map(drop)
    }

    /// The keys below a prefix, in order.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let query = [("list-type", "2"), ("prefix", prefix), ("start-after", &after)];
            let page = self.expect("GET", &format!("/{bucket}"), &query, &[], b"")?.text();
            keys.extend(elements(&page, "Key"));
            if elements(&page, "IsTruncated").first().is_none_or(|flag| flag != "true") {
                return Ok(keys);
            }
            after = keys.last().cloned().unwrap_or_default();
        }
    }

    /// The keys and upload ids of multipart uploads that were neither completed nor aborted.
    ///
    /// MinIO lists them only under the full key as prefix.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn unfinished_uploads(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let query = [("prefix", prefix), ("uploads", "")];
        let page = self.expect("GET", &format!("/{bucket}"), &query, &[], b"")?.text();
        Ok(elements(&page, "Key").into_iter().zip(elements(&page, "UploadId")).collect())
    }

    /// Sends any request, signed; `path` is unencoded and starts with a slash.
    ///
    /// # Errors
    /// When there is no answer; an unwelcome status is not an error.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Error> {
        let mut query = query.to_vec();
        query.sort_unstable();
        let path = encode(path, true);
        let query = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
            .collect::<Vec<_>>()
            .join("&");
        let signed = self.signer.headers(
            method,
            &self.address,
            &path,
            &query,
            headers,
            body,
            SystemTime::now(),
        );
        let mut target = path;
        if !query.is_empty() {
            let _ = write!(target, "?{query}");
        }
        http::send(&self.address, method, &target, &signed, body)
            .map_err(Error::io(format!("no answer to {method} {target} from {}", self.address)))
    }

    fn expect(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Error> {
        let response = self.request(method, path, query, headers, body)?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        Err(Error::Answer {
            server: format!("S3 server {}", self.address),
            request: format!("{method} {path}"),
            answer: format!("{} {}", response.status, response.text()),
        })
    }
}

/// The texts of all elements of this name, with XML's five entities resolved.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(text, _)| {
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#34;", "\"")
                .replace("&apos;", "'")
                .replace("&#39;", "'")
                .replace("&amp;", "&")
        })
        .collect()
}

/// Percent-encodes as S3's signature wants it: all but the unreserved characters.
fn encode(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keep_slash => out.push('/'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}
