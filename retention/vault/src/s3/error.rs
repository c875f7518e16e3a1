//! S3's errors, and those on the way to it, in the store's classes.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{StoreError, StoreErrorKind};
use StoreErrorKind::{AlreadyExists, Corrupt, Denied, Full, Invalid, NotFound, Other, Unavailable};

/// Where errors come from, for their texts and hints. Holds no secret.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// What [`Store::describe`](crate::Store::describe) says.
    pub store: String,
    /// Bucket.
    pub bucket: String,
    /// The endpoint, as the operator knows it.
    pub endpoint: String,
}

/// What the server answered. The SDK's own errors leave out the code, the status or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub code: String,
    message: String,
    request: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        match &self.request {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl StdError for Answer {}

/// A failed call: what the server said, if it said anything, and the error for the caller.
#[derive(Debug)]
pub(super) struct Failure {
    pub answer: Option<Answer>,
    pub error: StoreError,
}

impl Failure {
    /// Whether the server said so in these words.
    pub(super) fn is(&self, code: &str) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.code == code)
    }

    /// Status of the server's answer; 0 when there was none.
    pub(super) fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Context {
    /// An error of our own finding.
    pub(super) fn error(&self, kind: StoreErrorKind, action: impl Into<String>) -> StoreError {
        StoreError::new(kind, action, &self.store)
    }

    /// The failure of a call.
    pub(super) fn failure<E>(&self, action: String, error: SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let raw = error.raw_response();
        let status = raw.map_or(0, |raw| raw.status().as_u16());
        let request = raw.and_then(|raw| raw.headers().get("x-amz-request-id")).map(str::to_owned);
        match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let (code, message) = (text(meta.code()), text(meta.message()));
                let answer = Answer { status, code, message, request };
                let (kind, hint) = self.of_answer(&answer);
                self.build(action, kind, hint, Some(answer.clone()), answer.into())
            }
            SdkError::ResponseError(response) => {
                let answer =
                    Answer { status, code: String::new(), message: String::new(), request };
                let kind = if (300..500).contains(&status) { Invalid } else { Unavailable };
                let hint = format!("what answers at {} does not speak S3", self.endpoint);
                let hint = (kind == Invalid).then_some(hint);
                let source = SdkError::<E>::ResponseError(response).into_source();
                let source = source.unwrap_or_else(|error| Box::new(error));
                self.build(action, kind, hint, Some(answer), source)
            }
            SdkError::TimeoutError(_) => {
                let source = error.into_source().unwrap_or_else(|error| Box::new(error));
                let hint = format!("{} does not answer in time", self.endpoint);
                self.build(action, Unavailable, Some(hint), None, source)
            }
            other => {
                let source = other.into_source().unwrap_or_else(|error| Box::new(error));
                let (kind, hint) = self.of_transport(&*source);
                self.build(action, kind, hint, None, source)
            }
        }
    }

    /// The failure of a body that was being received.
    pub(super) fn cut(&self, action: String, source: impl Into<crate::error::Cause>) -> StoreError {
        self.error(Unavailable, action).with_source(source)
    }

    fn build(
        &self,
        action: String,
        kind: StoreErrorKind,
        hint: Option<String>,
        answer: Option<Answer>,
        source: crate::error::Cause,
    ) -> Failure {
        let mut error = self.error(kind, action).with_source(source);
        error.hint = hint;
        Failure { answer, error }
    }

    /// Class and hint of an answer, by its code, or by its status where it has no body.
    fn of_answer(&self, answer: &Answer) -> (StoreErrorKind, Option<String>) {
        let hint = |text: &str| Some(text.to_owned());
        match (answer.status, answer.code.as_str()) {
            (_, "NoSuchKey" | "NotFound") => (NotFound, None),
            (_, "NoSuchBucket") => (
                Invalid,
                Some(format!(
                    "create the bucket {}, or correct --store; the endpoint is {}",
                    self.bucket, self.endpoint
                )),
            ),
            (_, "NoSuchUpload") => (
                Other,
                hint("another run or a lifecycle rule of the bucket has given the upload up"),
            ),
            (_, "InvalidBucketName") => {
                (Invalid, hint("the bucket's name comes after s3:// and before the first slash"))
            }
            (
                _,
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException",
            )
            | (301 | 307 | 308, _) => (Invalid, hint("set AWS_REGION to the region of the bucket")),
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => (
                Denied,
                hint("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in use"),
            ),
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                (Denied, hint("the session token is no longer valid; get new credentials"))
            }
            (_, "RequestTimeTooSkewed" | "RequestExpired") => {
                (Denied, hint("set the clock of this machine: it differs from the server's"))
            }
            (_, "InvalidObjectState") => {
                (Denied, hint("the object is in an archive tier; restore it from there first"))
            }
            (
                _,
                "EntityTooLarge"
                | "QuotaExceeded"
                | "InsufficientStorage"
                | "XMinioStorageFull"
                | "XMinioAdminBucketQuotaExceeded"
                | "InsufficientCapacity",
            )
            | (507, _) => {
                (Full, hint("free space on the server, raise its quota, or keep fewer backups"))
            }
            (_, "PreconditionFailed") | (412, _) => (AlreadyExists, None),
            // Damaged or cut on its way: what we hold is whole, and sending it again helps.
            (
                _,
                "BadDigest"
                | "InvalidDigest"
                | "IncompleteBody"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch"
                | "RequestTimeout"
                | "ConditionalRequestConflict"
                | "OperationAborted"
                | "RequestTimeTooShort",
            )
            | (408 | 425 | 429, _) => (Unavailable, None),
            (409, "") => (Unavailable, None),
            (501, _) => (Invalid, hint("this server does not know a call that is needed")),
            (500.., _) => (Unavailable, None),
            (_, "SlowDown" | "Throttling" | "ThrottlingException" | "ServiceUnavailable") => {
                (Unavailable, None)
            }
            (401 | 403, _) => (
                Denied,
                Some(format!(
                    "these credentials need s3:ListBucket, s3:GetObject, s3:PutObject, \
                     s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads \
                     on {} and what is in it",
                    self.bucket
                )),
            ),
            (404, _) => (NotFound, None),
            (_, "InvalidPart" | "InvalidPartOrder") => (Corrupt, None),
            _ => (Other, None),
        }
    }

    /// Class and hint of a call that got no answer.
    fn of_transport(&self, error: &(dyn StdError + 'static)) -> (StoreErrorKind, Option<String>) {
        let mut texts = String::new();
        let mut refused = false;
        let mut next = Some(error);
        while let Some(cause) = next {
            texts.push_str(&cause.to_string().to_lowercase());
            texts.push('\n');
            refused |= cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            next = cause.source();
        }
        let has = |text: &str| texts.contains(text);
        let endpoint = &self.endpoint;
        if refused {
            let hint = format!("nothing listens at {endpoint}; check AWS_ENDPOINT_URL_S3");
            (Unavailable, Some(hint))
        } else if has("failed to lookup address") || has("dns error") {
            let hint = format!("the host of {endpoint} has no address; check AWS_ENDPOINT_URL_S3");
            // A name server that is down may come back; a name that is not there does not.
            (if has("temporary failure") { Unavailable } else { Invalid }, Some(hint))
        } else if has("certificate") && !has("credential") {
            let hint = if has("expired") {
                format!("the certificate of {endpoint} has expired, or the clock here is wrong")
            } else if has("notvalidforname") || has("not valid for name") {
                format!("the certificate of {endpoint} is for another name")
            } else {
                format!("{endpoint} is not trusted; AWS_CA_BUNDLE names a file of authorities")
            };
            (Invalid, Some(hint))
        } else if has("credential") {
            let hint = "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the \
                        role of this machine or pod";
            (Denied, Some(hint.to_owned()))
        } else if has("invalid uri") || has("failed to construct") || has("invalid host") {
            (Invalid, Some(format!("{endpoint} is no proper endpoint; check AWS_ENDPOINT_URL_S3")))
        } else {
            let hint = format!(
                "the connection to {endpoint} broke; see whether the server runs and the network holds"
            );
            (Unavailable, Some(hint))
        }
    }
}
