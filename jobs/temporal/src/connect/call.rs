//! One call, tried until it is answered or there is no use in trying.

use std::time::Duration;

use prost::Message as _;
use rand::Rng as _;
use temporalio_client::errors::ClientConnectError;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::channel::{connect_error as connection_error, tls_problem};
use super::{Connection, Raw, Request, transport};
use crate::error::{Answer, Error};
use crate::limit::{Limiter, Outcome, Ticket};

/// Tries of a call that the server answers too late.
const LATE_TRIES: u32 = 3;

/// Tries of a call that fails for a reason of the server's own.
const ODD_TRIES: u32 = 5;

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// What a failed try means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Throttled,
    TooLarge,
    Unavailable,
    Late,
    /// Internal errors and the like, which pass or do not.
    Odd,
    Denied,
    NamespaceGone,
    Final,
}

impl Connection {
    /// Makes a call and gives the bytes of its answer.
    pub(crate) async fn call(&self, request: Request) -> Result<Raw, Error> {
        let mut tries = Tries::new();
        loop {
            self.renew_token(false).await;
            let turn = Turn::take(&self.inner.limiter, &request).await;
            let status = match self.attempt(&request).await {
                Ok(raw) => {
                    self.inner.calls.answered(request.rpc(), raw.bytes.len());
                    turn.answered(&raw);
                    return Ok(raw);
                }
                Err(status) => status,
            };
            let failure = failure(&status);
            match failure {
                Failure::Throttled => {
                    self.inner.calls.throttled(request.rpc());
                    turn.throttled();
                }
                _ => {
                    self.inner.calls.failed(request.rpc());
                    drop(turn);
                }
            }
            if failure == Failure::Denied && self.renew_token(true).await {
                continue;
            }
            match tries.another(failure, &self.inner.limiter) {
                Some(wait) => {
                    tracing::debug!(rpc = request.rpc(), ?failure, ?wait, %status, "trying again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(self.failed(&request, failure, status, &tries)),
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Raw, Status> {
        let deadline = self.inner.limiter.limits.deadline;
        let call = request.clone().send(&self.inner.client, deadline);
        transport::raw(request.instead(), call).await
    }

    /// Gives the client another token where the file has one.
    async fn renew_token(&self, now: bool) -> bool {
        let Some(file) = &self.inner.token else { return false };
        let Some(token) = file.renewed(now).await else { return false };
        tracing::info!("the token file has changed");
        self.inner.client.set_api_key(Some(token));
        true
    }

    fn failed(&self, request: &Request, failure: Failure, status: Status, tries: &Tries) -> Error {
        let right = request.rpc();
        let namespace = request.namespace().map(str::to_owned);
        let waited = tries.since.map(|since| since.elapsed()).unwrap_or_default();
        if tls_problem(&status).is_some() {
            return connection_error(&self.inner.address, Box::new(status));
        }
        let source = Box::new(Answer(status));
        match failure {
            Failure::Throttled => Error::Throttled { namespace, right, waited, source },
            Failure::TooLarge => Error::PageTooLarge { right, source },
            Failure::Unavailable => {
                Error::Unavailable { address: self.inner.address.clone(), right, waited, source }
            }
            Failure::Late => Error::Deadline {
                right,
                deadline: self.inner.limiter.limits.deadline,
                tries: tries.count,
            },
            Failure::Denied => Error::Unauthorized { namespace, right, source },
            Failure::NamespaceGone => {
                Error::NamespaceGone { namespace: namespace.unwrap_or_default(), source }
            }
            Failure::Odd | Failure::Final => Error::Refused { namespace, right, source },
        }
    }
}

/// What a failure to connect is, given how the client's first call failed.
pub(super) fn connect_error(
    address: &str,
    error: ClientConnectError,
    status: Option<Status>,
) -> Error {
    let Some(status) = status else {
        // No call was made: the client does not like what it was told.
        return Error::Config {
            what: error.to_string(),
            hint: "check the address, the TLS settings and TEMPORAL_GRPC_META_…".into(),
        };
    };
    match failure(&status) {
        Failure::Denied => Error::Unauthorized {
            namespace: None,
            right: "GetSystemInfo",
            source: Box::new(Answer(status)),
        },
        _ => connection_error(address, Box::new(Answer(status))),
    }
}

/// A turn to make a call, and what is learned from its outcome.
struct Turn<'a> {
    limiter: &'a Limiter,
    /// For histories: the place among the calls in flight.
    ticket: Option<Ticket>,
    /// For visibility: whose rate it is.
    namespace: Option<String>,
}

impl<'a> Turn<'a> {
    async fn take(limiter: &'a Limiter, request: &Request) -> Self {
        let mut turn = Self { limiter, ticket: None, namespace: None };
        match request {
            Request::History(_) => turn.ticket = Some(limiter.history().await),
            Request::List(_) | Request::Count(_) => {
                let namespace = request.namespace().unwrap_or_default();
                limiter.visibility(namespace).await;
                turn.namespace = Some(namespace.to_owned());
            }
            // Imports are as many at a time as their caller wants.
            _ => {}
        }
        turn
    }

    fn answered(self, raw: &Raw) {
        if let Some(ticket) = self.ticket {
            ticket.leave(Outcome::Answered(raw.bytes.len(), raw.latency));
            self.limiter.history_succeeded();
        }
        if let Some(namespace) = &self.namespace {
            self.limiter.visibility_rate(namespace).succeeded();
        }
    }

    fn throttled(self) {
        if let Some(ticket) = self.ticket {
            ticket.leave(Outcome::Throttled);
            self.limiter.history_throttled();
        }
        if let Some(namespace) = &self.namespace {
            self.limiter.visibility_rate(namespace).throttled();
        }
    }
}

/// How often and for how long a call has failed in the same way.
struct Tries {
    last: Option<Failure>,
    count: u32,
    since: Option<Instant>,
}

impl Tries {
    fn new() -> Self {
        Self { last: None, count: 0, since: None }
    }

    /// How long to wait before another try; none when there is no use in one.
    fn another(&mut self, failure: Failure, limiter: &Limiter) -> Option<Duration> {
        if self.last != Some(failure) {
            *self = Self { last: Some(failure), count: 0, since: None };
        }
        self.count += 1;
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let again = match failure {
            Failure::Throttled => waited < limiter.limits.throttle_patience,
            Failure::Unavailable => waited < limiter.limits.patience,
            Failure::Late => self.count < LATE_TRIES,
            Failure::Odd => self.count < ODD_TRIES,
            _ => false,
        };
        let doubled = SHORTEST_WAIT * 2u32.saturating_pow(self.count.min(8) - 1);
        // Calls that fail together shall not come back together.
        again.then(|| doubled.min(LONGEST_WAIT).mul_f64(rand::rng().random_range(0.5..1.0)))
    }
}

fn failure(status: &Status) -> Failure {
    let message = status.message();
    match status.code() {
        // One code for "too much" and "too large": gRPC's own words tell them apart
        // (grpc-go rpc_util.go, "larger than max").
        Code::ResourceExhausted if message.contains("larger than max") => Failure::TooLarge,
        Code::ResourceExhausted => Failure::Throttled,
        // tonic's word for its decode limit.
        Code::OutOfRange if message.contains("message length too large") => Failure::TooLarge,
        _ if tls_problem(status).is_some() => Failure::Final,
        Code::Unavailable => Failure::Unavailable,
        // What tonic makes of a deadline that it has watched itself.
        Code::Cancelled if message.contains("Timeout expired") => Failure::Late,
        Code::DeadlineExceeded => Failure::Late,
        // A connection that broke, or a server that is shutting down.
        Code::Cancelled => Failure::Unavailable,
        Code::Unknown if std::error::Error::source(status).is_some() => Failure::Unavailable,
        Code::Internal if std::error::Error::source(status).is_some() => Failure::Unavailable,
        Code::Unknown | Code::Internal | Code::Aborted | Code::DataLoss => Failure::Odd,
        Code::PermissionDenied | Code::Unauthenticated => Failure::Denied,
        Code::NotFound if detail(status).is_some_and(|name| name == "NamespaceNotFoundFailure") => {
            Failure::NamespaceGone
        }
        // A namespace that is being deleted.
        Code::FailedPrecondition
            if detail(status).is_some_and(|name| name == "NamespaceInvalidStateFailure") =>
        {
            Failure::NamespaceGone
        }
        _ => Failure::Final,
    }
}

/// Whether the answer is that there is no such thing.
pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Refused { source, .. } if source.code() == Code::NotFound)
}

/// Short name of the first message among a status's details (`google.rpc.Status`).
fn detail(status: &Status) -> Option<String> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Details {
        #[prost(message, repeated, tag = "3")]
        details: Vec<Detail>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Detail {
        #[prost(string, tag = "1")]
        type_url: String,
    }
    let details = Details::decode(status.details()).ok()?.details;
    details.first()?.type_url.rsplit('.').next().map(str::to_owned)
}
