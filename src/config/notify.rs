//! Whom to tell, merged. An address often is a secret: whoever knows it can write to it.

use super::{ConfigError, file, secret_line};
use crate::secret::Secret;

/// Whom to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotifySettings {
    /// Pinged as healthchecks.io is: `/start`, nothing, `/fail`.
    pub ping: Option<Secret>,
    /// Gets a JSON document when a job breaks or heals.
    pub webhook: Option<Secret>,
    /// Gets the same as Slack's incoming webhooks want it.
    pub slack: Option<Secret>,
}

impl NotifySettings {
    /// Reads the addresses, from the file or from files of their own.
    pub fn read(file: &file::Notify) -> Result<Self, ConfigError> {
        Ok(Self {
            ping: address("ping", &file.ping_url, &file.ping_url_file)?,
            webhook: address("webhook", &file.webhook_url, &file.webhook_url_file)?,
            slack: address("slack", &file.slack_url, &file.slack_url_file)?,
        })
    }

    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn address(
    name: &'static str,
    url: &Option<Secret>,
    path: &Option<std::path::PathBuf>,
) -> Result<Option<Secret>, ConfigError> {
    let url = match (url, path) {
        (Some(_), Some(_)) => return Err(ConfigError::Address { name }),
        (Some(url), None) => Some(url.clone()),
        (None, Some(path)) => Some(secret_line(path)?),
        (None, None) => None,
    };
    let known = |url: &Secret| ["http://", "https://"].iter().any(|s| url.expose().starts_with(s));
    match url {
        Some(url) if !known(&url) => Err(ConfigError::Address { name }),
        url => Ok(url),
    }
}
