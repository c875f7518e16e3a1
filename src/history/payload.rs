//! Payloads as people read them, decoded by a codec server where one is given.
//!
//! The server's protocol is that of Temporal's command line: `POST ENDPOINT/decode` with
//! `{"payloads": […]}` and the header `X-Namespace`; the answer has the same form.
//! <https://docs.temporal.io/production-deployment/data-encryption>

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use temporal::connect;

use crate::cli;
use crate::config::{ConfigError, secret_line};
use crate::secret::Secret;

/// How long the codec server may take for one request.
const LIMIT: Duration = Duration::from_secs(30);

/// Payloads sent in one request.
const BATCH: usize = 100;

/// Largest answer that is read.
const MAX_ANSWER: usize = 128 << 20;

/// A codec server.
#[derive(Debug)]
pub struct Codec {
    url: String,
    headers: Vec<(String, Secret)>,
    client: reqwest::Client,
}

/// A codec server that did not decode.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// It cannot be asked.
    #[error("the codec server at {url} cannot be asked")]
    Request {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It refused, or gave something else.
    #[error("the codec server at {url} {what}")]
    Answer {
        /// Its address.
        url: String,
        /// What it did.
        what: String,
    },
}

impl CodecError {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Request { .. } => {
                "check --codec-endpoint, or leave it out to see payloads as they are stored".into()
            }
            Self::Answer { .. } => {
                "check TEMPORAL_CODEC_AUTH and --codec-header, and the codec server's own log"
                    .into()
            }
        })
    }
}

impl Codec {
    /// The codec server of a command line, else that of Temporal's own settings, if any.
    pub fn new(
        flags: &cli::CodecServer,
        settings: &connect::Options,
        namespace: &str,
    ) -> Result<Option<Self>, ConfigError> {
        let of_temporal = connect::codec_server(settings);
        let configured = of_temporal.map_err(|error| ConfigError::Temporal(Box::new(error)))?;
        let endpoint = flags.codec_endpoint.clone().or(configured.endpoint);
        let Some(endpoint) = endpoint else { return Ok(None) };
        let auth = match &flags.codec_auth_file {
            Some(path) => Some(secret_line(path)?),
            None => configured.authorization.map(Secret::new),
        };
        let header = |(name, value): &(String, String)| (name.clone(), Secret::new(value));
        let mut headers: Vec<(String, Secret)> = flags.codec_header.iter().map(header).collect();
        headers.extend(auth.map(|auth| ("Authorization".to_owned(), auth)));
        headers.push(("X-Namespace".to_owned(), Secret::new(namespace)));
        let endpoint = endpoint.replace("{namespace}", namespace);
        let url = format!("{}/decode", endpoint.trim_end_matches('/'));
        let client = reqwest::Client::builder().timeout(LIMIT).build();
        let client = client.map_err(|source| ConfigError::CodecServer { source })?;
        Ok(Some(Self { url, headers, client }))
    }

    /// Decodes every payload in a document, in place.
    pub async fn decode(&self, document: &mut Value) -> Result<(), CodecError> {
        let mut payloads = Vec::new();
        collect(document, &mut payloads);
        for batch in payloads.chunks_mut(BATCH) {
            let encoded: Vec<&Value> = batch.iter().map(|payload| &**payload).collect();
            let decoded = self.ask(&json!({ "payloads": encoded })).await?;
            if decoded.len() != batch.len() {
                let what = format!("gave {} payloads for {}", decoded.len(), batch.len());
                return Err(self.answer(what));
            }
            for (payload, decoded) in batch.iter_mut().zip(decoded) {
                **payload = decoded;
            }
        }
        Ok(())
    }

    async fn ask(&self, body: &Value) -> Result<Vec<Value>, CodecError> {
        let failed = |source: reqwest::Error| CodecError::Request {
            url: self.url.clone(),
            source: source.without_url(),
        };
        let mut request = self.client.post(&self.url).header("Content-Type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        let mut answer = request.body(body.to_string()).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(self.answer(format!("answered {}", answer.status())));
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if text.len() + piece.len() > MAX_ANSWER {
                return Err(self.answer(format!("answered with more than {MAX_ANSWER} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        match serde_json::from_slice::<Value>(&text).ok().map(|mut it| it["payloads"].take()) {
            Some(Value::Array(payloads)) => Ok(payloads),
            _ => Err(self.answer("gave no payloads".into())),
        }
    }

    fn answer(&self, what: String) -> CodecError {
        CodecError::Answer { url: self.url.clone(), what }
    }
}

/// Every payload below a value.
fn collect<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    if is_payload(value) {
        found.push(value);
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| collect(field, found)),
        _ => {}
    }
}

/// Whether a value is a `temporal.api.common.v1.Payload`: data, and metadata that says how it is
/// encoded.
pub fn is_payload(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    let only = |name: &String| matches!(name.as_str(), "metadata" | "data" | "externalPayloads");
    fields.keys().all(only)
        && fields.get("metadata").is_some_and(|metadata| metadata.get("encoding").is_some())
}

/// A payload as people read it: JSON as it is, the rest by encoding and size.
pub fn text(payload: &Value) -> String {
    let bytes = |value: &Value| {
        value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
    };
    let encoding = String::from_utf8_lossy(&bytes(&payload["metadata"]["encoding"])).into_owned();
    let data = bytes(&payload["data"]);
    match encoding.as_str() {
        "binary/null" => "null".to_owned(),
        "json/plain" | "json/protobuf" => match serde_json::from_slice::<Value>(&data) {
            Ok(value) => value.to_string(),
            Err(_) => format!("<{encoding}, {} bytes that are no JSON>", data.len()),
        },
        _ => format!("<{encoding}, {} bytes>", data.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(encoding: &str, data: &[u8]) -> Value {
        json!({"metadata": {"encoding": STANDARD.encode(encoding)}, "data": STANDARD.encode(data)})
    }

    #[test]
    fn json_is_shown_and_the_rest_is_described() {
        for (encoding, data, shown) in [
            ("json/plain", &b"{\"a\": [1, \"x\"]}"[..], "{\"a\":[1,\"x\"]}"),
            ("binary/null", b"", "null"),
            ("binary/plain", b"\x00\x01", "<binary/plain, 2 bytes>"),
            ("json/plain", b"{", "<json/plain, 1 bytes that are no JSON>"),
        ] {
            assert_eq!(text(&payload(encoding, data)), shown);
        }
    }

    #[test]
    fn payloads_are_found_wherever_they_are() {
        let mut document = json!({
            "input": {"payloads": [payload("json/plain", b"1"), payload("json/plain", b"2")]},
            "header": {"fields": {"x": payload("json/plain", b"3")}},
            "metadata": {"encoding": 1, "more": 2},
        });
        let mut found = Vec::new();
        collect(&mut document, &mut found);
        assert_eq!(found.len(), 3);
    }
}
