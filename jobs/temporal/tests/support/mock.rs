//! A frontend that only injects faults: each call is answered by a closure of the test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use temporalio_protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryRequest;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response};
use tonic::{Code, Status};

/// A call as it came in.
#[derive(Debug, Clone)]
pub struct Call {
    pub rpc: String,
    pub headers: HeaderMap,
    pub message: Bytes,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn history(&self) -> GetWorkflowExecutionHistoryRequest {
        GetWorkflowExecutionHistoryRequest::decode(self.message.clone()).unwrap()
    }
}

/// What to do about a call.
#[derive(Debug, Clone)]
pub enum Answer {
    Message(Bytes),
    Status(Code, &'static str),
    /// Never.
    Silence,
    /// The connection breaks.
    Break,
}

type Handler = dyn Fn(&Call) -> Answer + Send + Sync;

/// A listening mock; dropping it closes its connections.
pub struct Mock {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    _tasks: JoinSet<()>,
}

impl Mock {
    /// Listens. `GetSystemInfo` is answered here.
    pub async fn start(handler: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (handler, heard): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&calls));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&handler), Arc::clone(&heard)));
            }
        });
        Self { address, calls, _tasks: tasks }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Calls so far, `GetSystemInfo` among them.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn serve(socket: TcpStream, handler: Arc<Handler>, heard: Arc<Mutex<Vec<Call>>>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    let mut streams = JoinSet::new();
    let (broken, mut breaks) = tokio::sync::mpsc::channel(1);
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            _ = breaks.recv() => return,
        };
        let Some(Ok((request, mut respond))) = accepted else { return };
        let (handler, heard, broken) = (Arc::clone(&handler), Arc::clone(&heard), broken.clone());
        streams.spawn(async move {
            let (parts, mut body) = request.into_parts();
            let mut message = BytesMut::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                message.extend_from_slice(&data);
            }
            let rpc = parts.uri.path().rsplit('/').next().unwrap().to_owned();
            let call = Call { rpc, headers: parts.headers, message: message.split_off(5).freeze() };
            heard.lock().unwrap().push(call.clone());
            let answer = match call.rpc.as_str() {
                "GetSystemInfo" => Answer::Message(Bytes::new()),
                _ => handler(&call),
            };
            match answer {
                Answer::Message(message) => send(&mut respond, message).await,
                Answer::Status(code, text) => {
                    let mut response = Response::new(());
                    let status = Status::new(code, text);
                    status.add_header(response.headers_mut()).unwrap();
                    let grpc = HeaderValue::from_static("application/grpc");
                    response.headers_mut().insert("content-type", grpc);
                    let _ = respond.send_response(response, true);
                }
                Answer::Silence => std::future::pending().await,
                Answer::Break => broken.send(()).await.unwrap(),
            }
        });
    }
}

async fn send(respond: &mut h2::server::SendResponse<Bytes>, message: Bytes) {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    let mut prefix = BytesMut::with_capacity(5);
    prefix.put_u8(0);
    prefix.put_u32(message.len() as u32);
    for mut rest in [prefix.freeze(), message] {
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
                return;
            };
            if stream.send_data(rest.split_to(room.min(rest.len())), false).is_err() {
                return;
            }
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
}
