//! The one HTTP client: for pings, messages and the Pushgateway.

use std::time::Duration;

use reqwest::Client;

/// Longest that anybody is waited for.
const WITHIN: Duration = Duration::from_secs(10);

/// A client with the program's one TLS stack; `None`, with a warning, when it cannot be made.
pub fn client() -> Option<Client> {
    // The second call finds the provider installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("aidp-backup/", env!("CARGO_PKG_VERSION"));
    match Client::builder().timeout(WITHIN).user_agent(agent).build() {
        Ok(client) => Some(client),
        Err(error) => {
            tracing::warn!("nobody can be told anything over HTTP: {}", jobs::chain(&error));
            None
        }
    }
}

/// An error without the address, which may hold a secret.
pub fn blame(error: reqwest::Error) -> String {
    jobs::chain(&error.without_url())
}
