//! A server that speaks just enough S3, and misbehaves as told: as old servers, lying servers
//! and broken middle boxes do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request, its body whole.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer; `announced` may promise more than `body` holds.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub announced: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), announced: None }
    }

    pub fn error(status: u16, code: &str) -> Self {
        Self::new(status, format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>"))
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

type Rule = dyn Fn(&Request, &mut Objects) -> Option<Answer> + Send + Sync;
pub type Objects = BTreeMap<String, Vec<u8>>;

/// The running server.
#[derive(Clone)]
pub struct Fake {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    requests: Vec<Request>,
}

impl Fake {
    /// Starts a server that does as `rule` says, and as an old and careless server would where
    /// the rule says nothing: it ignores conditions and checksums.
    pub async fn start(
        rule: impl Fn(&Request, &mut Objects) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { endpoint, state: Arc::default() };
        let rule: Arc<Rule> = Arc::new(rule);
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (fake, rule) = (serving.clone(), Arc::clone(&rule));
                tokio::spawn(async move {
                    // A client that goes away ends its connection and nothing else.
                    let _ = fake.serve(connection, &*rule).await;
                });
            }
        });
        fake
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Requests so far whose method is `method` and whose query begins with `query`.
    pub fn requests(&self, method: &str, query: &str) -> Vec<Request> {
        let state = self.state();
        let wanted =
            |request: &&Request| request.method == method && request.query.starts_with(query);
        state.requests.iter().filter(wanted).cloned().collect()
    }

    /// Names of the objects there are.
    pub fn names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    async fn serve(&self, mut connection: TcpStream, rule: &Rule) -> std::io::Result<()> {
        while let Some(request) = receive(&mut connection).await? {
            let answer = {
                let mut state = self.state();
                state.requests.push(request.clone());
                rule(&request, &mut state.objects)
                    .unwrap_or_else(|| careless(&request, &mut state.objects))
            };
            let length = answer.announced.unwrap_or(answer.body.len());
            let mut head =
                format!("HTTP/1.1 {} Because\r\ncontent-length: {length}\r\n", answer.status);
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            connection.write_all(head.as_bytes()).await?;
            if request.method != "HEAD" {
                connection.write_all(&answer.body).await?;
            }
            if answer.announced.is_some() && request.method != "HEAD" {
                return Ok(());
            }
        }
        Ok(())
    }
}

async fn receive(connection: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let mut chunk = vec![0; 16 << 10];
        match connection.read(&mut chunk).await? {
            0 => return Ok(None),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    if headers.get("expect").is_some_and(|expect| expect == "100-continue") {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while body.len() < length {
        let mut chunk = vec![0; 256 << 10];
        match connection.read(&mut chunk).await? {
            0 => return Ok(None),
            n => body.extend_from_slice(&chunk[..n]),
        }
    }
    let query = query.split('&').filter(|part| !part.starts_with("x-id=")).collect::<Vec<_>>();
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.join("&"),
        headers,
        body,
    }))
}

const DATE: &str = "2026-11-23T02:00:00.000Z";

/// Parts of an upload are kept among the objects, under names no listing shows.
fn part_name(path: &str, number: usize) -> String {
    format!("\u{1}{path}\u{1}{number:05}")
}

fn careless(request: &Request, objects: &mut Objects) -> Answer {
    let value = |name: &str| {
        let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    let path = request.path.clone();
    match (request.method.as_str(), request.query.as_str()) {
        ("PUT", query) if query.contains("partNumber") => {
            let number = value("partNumber").unwrap().parse().unwrap();
            objects.insert(part_name(&path, number), request.body.clone());
            Answer::new(200, "").with("etag", format!("\"{number}\""))
        }
        ("PUT", _) => {
            objects.insert(path, request.body.clone());
            Answer::new(200, "").with("etag", "\"e\"")
        }
        ("POST", "uploads" | "uploads=") => Answer::new(
            200,
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        ("POST", query) if query.starts_with("uploadId") => {
            let prefix = part_name(&path, 0).trim_end_matches('0').to_owned();
            let names: Vec<_> =
                objects.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
            if names.is_empty() {
                return Answer::error(404, "NoSuchUpload");
            }
            let whole = names.iter().flat_map(|name| objects.remove(name).unwrap()).collect();
            objects.insert(path, whole);
            Answer::new(200, "<CompleteMultipartUploadResult/>")
        }
        ("DELETE", query) if query.starts_with("uploadId") => Answer::new(204, ""),
        ("DELETE", _) => {
            objects.remove(&path);
            Answer::new(204, "")
        }
        ("HEAD" | "GET", "") => match objects.get(&path) {
            None => Answer::error(404, "NoSuchKey"),
            Some(bytes) => Answer { announced: None, ..Answer::new(200, bytes.clone()) }
                .with("last-modified", "Mon, 23 Nov 2026 02:00:00 GMT"),
        },
        ("GET", query) if query.contains("list-type=2") => {
            let prefix = value("prefix").unwrap_or_default().replace("%2F", "/");
            let entries: String = objects
                .iter()
                .filter_map(|(name, bytes)| {
                    let key = name.strip_prefix("/bucket/")?;
                    key.starts_with(&prefix).then(|| {
                        format!(
                            "<Contents><Key>{key}</Key><Size>{}</Size>\
                             <LastModified>{DATE}</LastModified></Contents>",
                            bytes.len()
                        )
                    })
                })
                .collect();
            Answer::new(200, format!("<ListBucketResult>{entries}</ListBucketResult>"))
        }
        _ => Answer::error(501, "NotImplemented"),
    }
}
