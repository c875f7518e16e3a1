//! Whom to tell, merged. An address often is a secret: whoever knows it can write to it.

use lettre::message::Mailbox;

use super::{ConfigError, MailSecurity, file, secret_line};
use crate::secret::Secret;

/// Whom to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotifySettings {
    /// Pinged for exports as healthchecks.io is: `/start`, nothing, `/fail`.
    pub ping: Option<Secret>,
    /// Pinged so for archiving.
    pub archive_ping: Option<Secret>,
    /// Gets a JSON document when a job breaks or heals.
    pub webhook: Option<Secret>,
    /// Gets the same as Slack's incoming webhooks want it.
    pub slack: Option<Secret>,
    /// The same as mail.
    pub mail: Option<MailSettings>,
}

/// A mail server, and whom it is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Name or address of the server, and its port.
    pub server: (String, u16),
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Sender.
    pub from: Mailbox,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Certificates to trust in place of the system's, PEM.
    pub authorities: Option<Vec<u8>>,
}

impl NotifySettings {
    /// Reads the addresses, from the file or from files of their own.
    pub fn read(file: &file::Notify) -> Result<Self, ConfigError> {
        Ok(Self {
            ping: address("ping", &file.ping_url, &file.ping_url_file)?,
            webhook: address("webhook", &file.webhook_url, &file.webhook_url_file)?,
            archive_ping: address(
                "archive_ping",
                &file.archive_ping_url,
                &file.archive_ping_url_file,
            )?,
            mail: file.mail.as_ref().map(MailSettings::read).transpose()?,
            slack: address("slack", &file.slack_url, &file.slack_url_file)?,
        })
    }

    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl MailSettings {
    fn read(file: &file::Mail) -> Result<Self, ConfigError> {
        let wrong = |what: String| ConfigError::Mail { what };
        let server = file.server.rsplit_once(':');
        let server = server.and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_owned(), port.parse().ok()?)).filter(|_| !host.is_empty())
        });
        let server =
            server.ok_or_else(|| wrong(format!("server = {:?} is not HOST:PORT", file.server)))?;
        let mailbox = |text: &String| {
            text.parse::<Mailbox>().map_err(|_| wrong(format!("{text:?} is no mail address")))
        };
        let to = file.to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(wrong("`to` names nobody".into()));
        }
        let login = match (&file.user, &file.password_file) {
            (Some(user), Some(path)) => Some((user.clone(), secret_line(path)?)),
            (None, None) => None,
            _ => return Err(wrong("user and password_file belong together".into())),
        };
        if login.is_some() && file.security == MailSecurity::None {
            return Err(wrong("a password is not sent without TLS".into()));
        }
        let authorities = file.ca_file.as_ref().map(|path| {
            std::fs::read(path).map_err(|source| ConfigError::Read { path: path.clone(), source })
        });
        Ok(Self {
            server,
            security: file.security,
            from: mailbox(&file.from)?,
            to,
            login,
            authorities: authorities.transpose()?,
        })
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
