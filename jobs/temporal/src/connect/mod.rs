//! The connection to a Temporal frontend.
//!
//! `temporalio-client` reads the settings, sends the headers and makes every call. Under it lies a
//! transport of our own ([`transport`]): the client's would decode each answer into structs, which
//! drops fields that it does not know and costs more than all else that is done to a history.

mod call;
mod channel;
mod config;
mod meter;
mod probe;
mod request;
mod token;
mod transport;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::json::Schema;
use crate::limit::{Limiter, Limits};

pub(crate) use call::is_not_found;
pub use config::{CodecServer, codec_server};
pub use meter::{CallCount, Calls};
pub(crate) use request::Request;
pub(crate) use transport::Raw;

/// How a server is reached. What is not given here is taken from the environment, then from the
/// profile in `temporal.toml`, then it is what Temporal's own command line assumes.
#[derive(Clone, Default)]
pub struct Options {
    /// `HOST:PORT` of the frontend.
    pub address: Option<String>,
    /// Profile in the file.
    pub profile: Option<String>,
    /// The file, in place of `temporal.toml` in the user's configuration folder.
    pub config_file: Option<PathBuf>,
    /// A file with an API key or a JSON web token. It is read again when it changes, and goes
    /// before `TEMPORAL_API_KEY`.
    pub api_key_file: Option<PathBuf>,
    /// The variables `TEMPORAL_…` of the process.
    pub environment: BTreeMap<String, String>,
    /// What is asked of the server at once.
    pub limits: Limits,
    /// How this program calls itself to the server.
    pub identity: String,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of the environment may be secrets.
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("profile", &self.profile)
            .field("config_file", &self.config_file)
            .field("api_key_file", &self.api_key_file)
            .field("environment", &self.environment.keys())
            .field("limits", &self.limits)
            .field("identity", &self.identity)
            .finish()
    }
}

/// An open connection. Clones share it, its limits and its counters.
#[derive(Clone)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    client: temporalio_client::Connection,
    address: String,
    token: Option<token::TokenFile>,
    calls: meter::Meter,
    pub(crate) limiter: Limiter,
    pub(crate) schema: Arc<Schema>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects and asks the server who it is.
    ///
    /// # Errors
    /// When the settings make no sense, nothing answers, the TLS handshake fails, or the server
    /// does not let us in. A server that is away is not waited for here.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let schema = Schema::built_in()
            .map_err(|source| Error::Json { what: "Temporal's own descriptors".into(), source })?;
        let (token, first) = match &options.api_key_file {
            Some(path) => {
                let (file, first) = token::TokenFile::open(path).await?;
                (Some(file), Some(first))
            }
            None => (None, None),
        };
        let settings = config::settings(options, first)?;
        let limiter = Limiter::new(options.limits.clone());
        let channel = channel::connect(&settings).await?;
        let address = settings.address;
        let mut connect = settings.options;
        connect.identity.clone_from(&options.identity);
        // We retry ourselves: a page that is too large is no reason to wait, and a server that
        // restarts is waited for longer than a worker would.
        connect.retry_options = temporalio_client::RetryOptions::no_retries();
        connect.dns_load_balancing = None;
        connect.service_override =
            Some(transport::service(channel, limiter.answers.clone(), options.limits.deadline));
        let calling = temporalio_client::Connection::connect(connect.clone());
        let client = match transport::failure(calling).await {
            (Ok(client), _) => client,
            (Err(error), status) => {
                let error = call::connect_error(&address, error, status);
                return Err(explained(error, &connect, &address).await);
            }
        };
        let (calls, schema) = (meter::Meter::default(), Arc::new(schema));
        let inner = Inner { client, address, token, calls, limiter, schema };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// `HOST:PORT`, as configured.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Calls made so far, by RPC.
    pub fn calls(&self) -> Calls {
        self.inner.calls.read()
    }
}

/// A failure to connect, with what the server has against our certificate, if that is it.
async fn explained(
    error: Error,
    options: &temporalio_client::ConnectionOptions,
    address: &str,
) -> Error {
    if !matches!(error, Error::Connect { .. }) {
        return error;
    }
    match probe::broken(options).await {
        Some(source) if channel::tls_problem(source.as_ref()).is_some() => {
            channel::connect_error(address, source)
        }
        _ => error,
    }
}
