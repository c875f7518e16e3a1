//! Telling people: a heartbeat for each run, and a message when it breaks and when it heals.

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

    /// A run has begun.
    pub fn started(&mut self, _job: &'static str) {
        self.ping("/start", String::new());
    }

    /// A run has ended.
    pub fn ended(&mut self, job: &'static str, ended: &Ended) {
        let good = match ended.verdict {
            // Somebody else is at it, who says how it went.
            Verdict::LeaseHeld => return,
            Verdict::Done => true,
            _ => false,
        };
        self.ping(if good { "" } else { "/fail" }, message::lines(job, ended));
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
            self.post(url, "Slack message", Body::Json(serde_json::json!({ "text": text })));
        }
    }

    /// Waits a little for what is on its way.
    pub async fn close(mut self) {
        let all = async { while self.sending.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("some messages could not be delivered in time");
        }
    }

    fn ping(&mut self, suffix: &str, text: String) {
        if let Some(url) = &self.settings.ping {
            let url = Secret::new(format!("{}{suffix}", url.expose().trim_end_matches('/')));
            self.post(url, "ping", Body::Text(text));
        }
    }

    fn post(&mut self, url: Secret, what: &'static str, body: Body) {
        let Some(client) = self.client.clone() else { return };
        while self.sending.try_join_next().is_some() {}
        self.sending.spawn(async move {
            for attempt in 0..ATTEMPTS {
                let request = client.post(url.expose());
                let request = match &body {
                    Body::Text(text) => request.body(text.clone()),
                    Body::Json(json) => request.json(json),
                };
                let sent = request.send().await.and_then(reqwest::Response::error_for_status);
                match sent {
                    Ok(_) => return,
                    Err(error) if attempt + 1 == ATTEMPTS => {
                        tracing::warn!("cannot send a {what}: {}", http_client::blame(error));
                    }
                    Err(_) => tokio::time::sleep(PAUSE * (1 << attempt)).await,
                }
            }
        });
    }
}

enum Body {
    Text(String),
    Json(serde_json::Value),
}
