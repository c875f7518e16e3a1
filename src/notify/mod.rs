//! Telling people: a heartbeat for each run, and a message when it breaks and when it heals.

mod mail;
mod message;

use std::collections::BTreeSet;
use std::time::Duration;

use jobs::Verdict;
use reqwest::Client;
use tokio::task::JoinSet;

use crate::config::NotifySettings;
use crate::ended::Ended;
use crate::http_client;
use crate::secret::Secret;
use message::Change;

/// How long messages that are on their way may take when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Attempts of one message, and the pause after the first; doubled for each one after it.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Tells whoever is to be told. Nobody waits for it, and its failures fail nothing.
pub struct Notifier {
    settings: NotifySettings,
    client: Option<Client>,
    broken: BTreeSet<&'static str>,
    sending: JoinSet<()>,
}

impl Notifier {
    /// One that has said nothing yet.
    pub fn new(settings: &NotifySettings) -> Self {
        let client = if settings.is_empty() { None } else { http_client::client() };
        Self {
            settings: settings.clone(),
            client,
            broken: BTreeSet::new(),
            sending: JoinSet::new(),
        }
    }

    /// The same with other addresses.
    pub fn with(&self, settings: &NotifySettings) -> Self {
        Self { broken: self.broken.clone(), ..Self::new(settings) }
    }

    /// A job is known to be broken, and whoever is to be told has been.
    pub fn recall(&mut self, job: &'static str) {
        self.broken.insert(job);
    }

    /// A run has begun.
    pub fn started(&mut self, job: &'static str) {
        self.ping(job, "/start", String::new());
    }

    /// A run has ended.
    pub fn ended(&mut self, job: &'static str, ended: &Ended) {
        let good = match ended.verdict {
            // Somebody else is at it, who says how it went.
            Verdict::LeaseHeld => return,
            Verdict::Done => true,
            _ => false,
        };
        self.ping(job, if good { "" } else { "/fail" }, message::lines(job, ended));
        let change = match good {
            true if self.broken.remove(job) => Change::Healed,
            false if self.broken.insert(job) => Change::Broke,
            _ => return,
        };
        let text = message::text(job, ended, change);
        if let Some(url) = self.settings.webhook.clone() {
            self.post(url, "webhook", Body::Json(message::webhook(job, ended, change, &text)));
        }
        if let Some(url) = self.settings.slack.clone() {
            let body = Body::Json(serde_json::json!({ "text": text.clone() }));
            self.post(url, "Slack message", body);
        }
        if let Some(settings) = self.settings.mail.clone() {
            self.send("mail", move || mail::send(settings.clone(), text.clone()));
        }
    }

    /// Waits a little for what is on its way.
    pub async fn close(mut self) {
        let all = async { while self.sending.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("some messages could not be delivered in time");
        }
    }

    fn ping(&mut self, job: &'static str, suffix: &str, text: String) {
        let url = match job {
            "archive" => &self.settings.archive_ping,
            _ => &self.settings.ping,
        };
        if let Some(url) = url {
            let url = Secret::new(format!("{}{suffix}", url.expose().trim_end_matches('/')));
            self.post(url, "ping", Body::Text(text));
        }
    }

    fn post(&mut self, url: Secret, what: &'static str, body: Body) {
        let Some(client) = self.client.clone() else { return };
        self.send(what, move || {
            let request = client.post(url.expose());
            let request = match &body {
                Body::Text(text) => request.body(text.clone()),
                Body::Json(json) => request.json(json),
            };
            async move {
                let sent = request.send().await.and_then(reqwest::Response::error_for_status);
                sent.map(drop).map_err(http_client::blame)
            }
        });
    }

    /// Tries a few times, and says so when none of them went well.
    fn send<F>(&mut self, what: &'static str, attempt: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        while self.sending.try_join_next().is_some() {}
        self.sending.spawn(async move {
            for number in 0..ATTEMPTS {
                match attempt().await {
                    Ok(()) => return,
                    Err(error) if number + 1 == ATTEMPTS => {
                        tracing::warn!("cannot send a {what}: {error}");
                    }
                    Err(_) => tokio::time::sleep(PAUSE * (1 << number)).await,
                }
            }
        });
    }
}

enum Body {
    Text(String),
    Json(serde_json::Value),
}
