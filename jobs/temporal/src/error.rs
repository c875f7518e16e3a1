//! What can go wrong between Temporal and a line of JSON.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};

use crate::{json, segment};

/// Any error, as other crates hand it over.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a server, or the way to it, answered instead of a response.
#[derive(Debug)]
pub struct Answer(pub(crate) Status);

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.message() {
            "" => f.write_str(self.0.code().description()),
            message => f.write_str(message),
        }
    }
}

impl StdError for Answer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        StdError::source(&self.0)
    }
}

impl Answer {
    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code()
    }
}

/// What is wrong with a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The server's certificate has run out.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate was issued by an authority that we do not trust.
    UnknownIssuer,
    /// The server's certificate is for another name.
    WrongName,
    /// The server wants a certificate of ours.
    ClientCertificateMissing,
    /// Our certificate has run out.
    ClientCertificateExpired,
    /// The server did not take our certificate.
    ClientCertificateRefused,
    /// Something else, which the source names.
    Other,
}

/// A failed call, or what came of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection settings make no sense, or ask for what we do not do.
    #[error("invalid Temporal settings: {what}")]
    Config {
        /// Which setting and why.
        what: String,
        /// What mends it.
        hint: String,
    },
    /// Nothing that speaks gRPC answers there.
    #[error("cannot connect to Temporal at {address}")]
    Connect {
        /// `HOST:PORT`, as configured.
        address: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The TLS handshake failed.
    #[error("no TLS connection to Temporal at {address}")]
    Certificate {
        /// `HOST:PORT`, as configured.
        address: String,
        /// What is wrong, as far as it can be named.
        problem: CertificateProblem,
        /// What the TLS library says.
        #[source]
        source: BoxError,
    },
    /// The server does not know who is calling, or does not let them.
    #[error("not allowed to call {right}{}", in_namespace(.namespace))]
    Unauthorized {
        /// The namespace asked for, if any.
        namespace: Option<String>,
        /// The RPC, which is what authorizers grant.
        right: &'static str,
        /// What the server says. `UNAUTHENTICATED`: the credentials themselves were refused.
        #[source]
        source: Box<Answer>,
    },
    /// There is no such namespace, or no longer.
    #[error("namespace {namespace:?} does not exist")]
    NamespaceGone {
        /// Name asked for.
        namespace: String,
        /// What the server says.
        #[source]
        source: Box<Answer>,
    },
    /// A run was listed and is gone: deleted, or past its retention.
    #[error("the history of workflow {workflow_id:?}, run {run_id}, is gone")]
    Vanished {
        /// Workflow id.
        workflow_id: String,
        /// Run id.
        run_id: String,
    },
    /// The server kept refusing for lack of capacity.
    #[error("Temporal throttled {right}{} for {} s", in_namespace(.namespace), .waited.as_secs())]
    Throttled {
        /// The namespace asked for, if any.
        namespace: Option<String>,
        /// The RPC.
        right: &'static str,
        /// For how long it was tried.
        waited: Duration,
        /// What the server says.
        #[source]
        source: Box<Answer>,
    },
    /// The server was reached once, and then was not for too long.
    #[error("Temporal at {address} did not answer {right} for {} s", .waited.as_secs())]
    Unavailable {
        /// `HOST:PORT`, as configured.
        address: String,
        /// The RPC.
        right: &'static str,
        /// For how long it was tried.
        waited: Duration,
        /// The last failure.
        #[source]
        source: Box<Answer>,
    },
    /// Each of a few tries took too long.
    #[error("{right} took longer than {} s, {tries} times", .deadline.as_secs())]
    Deadline {
        /// The RPC.
        right: &'static str,
        /// How long one try may take.
        deadline: Duration,
        /// How often it was tried.
        tries: u32,
    },
    /// An answer does not fit a message, however few batches are asked for.
    #[error("the answer to {right} is too large for a message")]
    PageTooLarge {
        /// The RPC.
        right: &'static str,
        /// What the server, or our own limit, says.
        #[source]
        source: Box<Answer>,
    },
    /// The server refuses the request for another reason, such as a query that it cannot read.
    #[error("Temporal refused {right}{}", in_namespace(.namespace))]
    Refused {
        /// The namespace asked for, if any.
        namespace: Option<String>,
        /// The RPC.
        right: &'static str,
        /// What the server says.
        #[source]
        source: Box<Answer>,
    },
    /// An answer that cannot be what the server meant.
    #[error("cannot read the answer to {right}: {what}")]
    Response {
        /// The RPC.
        right: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A history with a hole, or without an end.
    #[error("the history of workflow {workflow_id:?}, run {run_id}, is incomplete: {what}")]
    Incomplete {
        /// Workflow id.
        workflow_id: String,
        /// Run id.
        run_id: String,
        /// What is missing.
        what: String,
    },
    /// A history that must not be imported, or cannot be.
    #[error("workflow {workflow_id:?}, run {run_id}, cannot be imported: {what}")]
    Import {
        /// Workflow id.
        workflow_id: String,
        /// Run id.
        run_id: String,
        /// Why not.
        what: String,
    },
    /// A message has no JSON form.
    #[error("cannot turn {what} into JSON")]
    Json {
        /// Which message of which run.
        what: String,
        /// Why.
        #[source]
        source: json::Error,
    },
    /// A line could not be written.
    #[error(transparent)]
    Segment(#[from] segment::Error),
}

fn in_namespace(namespace: &Option<String>) -> String {
    namespace.as_ref().map(|name| format!(" in namespace {name:?}")).unwrap_or_default()
}

impl Error {
    /// Whether the same call may go well later, without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::Deadline { .. }
            | Self::Incomplete { .. } => true,
            Self::Refused { source, .. } => {
                matches!(source.code(), Code::Internal | Code::Unknown | Code::Aborted)
            }
            _ => false,
        }
    }

    /// Whether a server that has just been told of a namespace or a search attribute may answer
    /// so until its caches know.
    pub fn may_be_unknown_yet(&self) -> bool {
        match self {
            Self::NamespaceGone { .. } => true,
            Self::Refused { source, .. } => {
                matches!(source.code(), Code::InvalidArgument | Code::NotFound)
            }
            _ => false,
        }
    }

    /// Whether it says something of one run, and not of the server or the way to it.
    pub fn is_of_the_run(&self) -> bool {
        match self {
            Self::Vanished { .. }
            | Self::Incomplete { .. }
            | Self::Import { .. }
            | Self::PageTooLarge { .. }
            | Self::Response { .. }
            | Self::Json { .. } => true,
            Self::Refused { source, .. } => source.code() != Code::Unimplemented,
            _ => false,
        }
    }

    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { hint, .. } => hint.clone(),
            Self::Connect { .. } => {
                "check TEMPORAL_ADDRESS or the profile in temporal.toml, and that the frontend listens there; \
                 a server with TLS wants TEMPORAL_TLS=true".into()
            }
            Self::Certificate { problem, .. } => problem.hint().into(),
            Self::Unauthorized { source, .. } if source.code() == Code::Unauthenticated => {
                "the token or API key was refused: check TEMPORAL_API_KEY or the token file, and whether it has expired".into()
            }
            // Anybody may call it: a server that does not let us has refused the token.
            Self::Unauthorized { right: "GetSystemInfo", .. } => {
                "the server does not take the token or API key, or wants one: check TEMPORAL_API_KEY or the token file, whether it has expired, and the clocks of both machines".into()
            }
            Self::Unauthorized { namespace: Some(name), right, .. } => {
                format!("grant the read role on namespace {name:?}, or whatever your authorizer calls the right to {right}")
            }
            Self::Unauthorized { namespace: None, right, .. } => {
                format!("name namespaces one by one instead, or grant the right to {right}")
            }
            Self::NamespaceGone { .. } => {
                "`temporal operator namespace list` shows what there is; what was archived of it stays".into()
            }
            Self::Throttled { .. } => {
                "lower the rate of calls, or raise frontend.namespaceRPS (frontend.namespaceRPS.visibility for lists) on the server".into()
            }
            Self::Unavailable { .. } => {
                "see whether the server runs; nothing is lost, the next run goes on where this one ended".into()
            }
            Self::Deadline { .. } => "the server is overloaded, or the connection to it is too slow".into(),
            Self::PageTooLarge { .. } => {
                "raise the server's limit on gRPC messages; one batch of this history is larger".into()
            }
            Self::Refused { right: "ListWorkflowExecutions" | "CountWorkflowExecutions", source, .. }
                if source.code() == Code::InvalidArgument =>
            {
                "check the query filter: `temporal workflow list --query` takes the same".into()
            }
            Self::Refused { right: "ImportWorkflowExecution", source, .. }
                if source.code() == Code::Unimplemented =>
            {
                "set clusterMetadata.enableGlobalNamespace to true in the configuration of the throwaway server; \
                 `temporal server start-dev` cannot import".into()
            }
            Self::Refused { right: "AddSearchAttributes", .. } => {
                "a namespace has few search attributes of each type: use a fresh namespace, or fewer at a time".into()
            }
            Self::Incomplete { .. } => "if it stays so, the server has lost a part of it: see its log".into(),
            _ => return None,
        })
    }
}

impl CertificateProblem {
    fn hint(self) -> &'static str {
        match self {
            Self::Expired => {
                "the server's certificate has expired: renew it, and check this machine's clock"
            }
            Self::NotYetValid => {
                "the server's certificate is not valid yet: check the clocks of both machines"
            }
            Self::UnknownIssuer => {
                "the server's certificate comes from an unknown authority: give the right one as TEMPORAL_TLS_SERVER_CA_CERT_PATH"
            }
            Self::WrongName => {
                "the server's certificate is for another name: give that name as TEMPORAL_TLS_SERVER_NAME"
            }
            Self::ClientCertificateMissing => {
                "the server wants a client certificate: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
            }
            Self::ClientCertificateExpired => {
                "the client certificate has expired: renew the file that TEMPORAL_TLS_CLIENT_CERT_PATH names, and check the clocks of both machines"
            }
            Self::ClientCertificateRefused => {
                "the server did not take the client certificate: check TEMPORAL_TLS_CLIENT_CERT_PATH and who issued it"
            }
            Self::Other => "check that the server speaks TLS there, with version 1.2 or later",
        }
    }
}
