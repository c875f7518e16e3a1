//! What lies under the client: one unary call, whose answer stays the bytes that came.
//!
//! The client hands over each call with its headers; the answer's bytes go into a [`Slot`] of the
//! task that made the call, past the client, which is given an empty message to decode. Before the
//! body of an answer is read, its length is known: reading waits for that much of the memory
//! budget, and HTTP/2's flow control keeps the server waiting meanwhile.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Frame;
use temporalio_client::callback_based::{
    CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Status, client::Grpc};

use crate::limit::Memory;

/// The largest answer taken, as in Temporal's own clients.
pub(super) const LARGEST: usize = 128 << 20;

/// Length prefix of a gRPC message: a flag for compression, and four bytes of length.
const PREFIX: usize = 5;

tokio::task_local! {
    static SLOT: Arc<Slot>;
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) bytes: Bytes,
    /// How long the server thought before it answered.
    pub(crate) latency: Duration,
    /// The answer's share of the memory budget, held for as long as its bytes are needed.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Where the answer to a task's call is put.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    instead: Option<Instead>,
}

/// A call that goes out in place of the one that the client makes: to a service that the client
/// has no stubs for, with the headers that it gives to all calls.
#[derive(Debug, Clone)]
pub(super) struct Instead {
    /// `/SERVICE/RPC`.
    pub(super) path: &'static str,
    /// The request, encoded.
    pub(super) message: Bytes,
}

#[derive(Debug, Default)]
struct State {
    answer: Option<Result<Bytes, Status>>,
    latency: Duration,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Runs a call that the client makes and gives the bytes that it answered with.
pub(super) async fn raw(
    instead: Option<Instead>,
    call: impl Future<Output = Result<(), Status>>,
) -> Result<Raw, Status> {
    let (result, state) = watched(instead, call).await;
    match (state.answer, result) {
        // The transport's own status has its causes still attached.
        (Some(Err(status)), _) | (None, Err(status)) => Err(status),
        (Some(Ok(bytes)), _) => Ok(Raw { bytes, latency: state.latency, permit: state.permit }),
        (None, Ok(())) => Err(Status::internal("the client made no call")),
    }
}

/// Runs calls that the client makes for itself; gives what it made of them, and how the last one
/// failed, with its causes still attached.
pub(super) async fn failure<T>(call: impl Future<Output = T>) -> (T, Option<Status>) {
    let (result, state) = watched(None, call).await;
    (result, state.answer.and_then(Result::err))
}

async fn watched<T>(instead: Option<Instead>, call: impl Future<Output = T>) -> (T, State) {
    let slot = Arc::new(Slot { instead, ..Slot::default() });
    let result = SLOT.scope(Arc::clone(&slot), call).await;
    let state = std::mem::take(&mut *slot.state.lock().unwrap_or_else(PoisonError::into_inner));
    (result, state)
}

/// The service that the client makes its calls with.
pub(super) fn service(
    channel: Channel,
    memory: Memory,
    deadline: Duration,
) -> CallbackBasedGrpcService {
    let metered = Metered { channel, memory };
    CallbackBasedGrpcService {
        callback: Arc::new(move |request| {
            let metered = metered.clone();
            async move {
                let Ok(slot) = SLOT.try_with(Arc::clone) else {
                    return Err(Status::internal("a call that nobody waits for"));
                };
                let call = unary(metered, request, Arc::clone(&slot));
                // The server is told the same deadline and is the first to give up; this is for
                // one that is not there any more.
                let answer = tokio::time::timeout(deadline + deadline / 4, call)
                    .await
                    .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
                let told = match &answer {
                    Ok(_) => Ok(GrpcSuccessResponse {
                        headers: http::HeaderMap::new(),
                        proto: Vec::new(),
                    }),
                    Err(status) => Err(Status::new(status.code(), status.message())),
                };
                slot.set(|state| state.answer = Some(answer));
                told
            }
            .boxed()
        }),
    }
}

async fn unary(metered: Metered, request: GrpcRequest, slot: Arc<Slot>) -> Result<Bytes, Status> {
    let (path, message) = match slot.instead.clone() {
        Some(instead) => (instead.path.to_owned(), instead.message),
        None => (format!("/{}/{}", request.service, request.rpc), request.proto),
    };
    let path = path.parse().map_err(|_| Status::internal("a path that is none"))?;
    let mut call = tonic::Request::from_parts(
        MetadataMap::from_headers(request.headers),
        tonic::Extensions::default(),
        message,
    );
    call.extensions_mut().insert(slot);
    let mut grpc = Grpc::new(metered).max_decoding_message_size(LARGEST);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    grpc.unary(call, path, AsBytes).await.map(tonic::Response::into_inner)
}

/// Messages stay bytes, both ways.
#[derive(Debug, Clone, Copy, Default)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(1 << 10, 32 << 10)
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(4 << 10, 32 << 10)
    }
}

/// The channel, with answers read against the memory budget.
#[derive(Clone)]
struct Metered {
    channel: Channel,
    memory: Memory,
}

impl Service<http::Request<Body>> for Metered {
    type Response = http::Response<MeteredBody>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let slot = request.extensions_mut().remove::<Arc<Slot>>();
        let memory = self.memory.clone();
        let sent = Instant::now();
        let response = self.channel.call(request);
        async move {
            let response = response.await?;
            if let Some(slot) = &slot {
                slot.set(|state| state.latency = sent.elapsed());
            }
            Ok(response.map(|body| MeteredBody {
                body,
                slot,
                semaphore: PollSemaphore::new(Arc::clone(&memory.semaphore)),
                memory,
                prefix: Vec::with_capacity(PREFIX),
                waiting: None,
            }))
        }
        .boxed()
    }
}

/// A body whose first frame is held back until there is memory for the message it begins.
struct MeteredBody {
    body: Body,
    slot: Option<Arc<Slot>>,
    memory: Memory,
    semaphore: PollSemaphore,
    prefix: Vec<u8>,
    /// The frame held back, and the permits it waits for.
    waiting: Option<(Frame<Bytes>, u32)>,
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
            if let (Some(data), true) = (frame.data_ref(), this.prefix.len() < PREFIX) {
                let missing = PREFIX - this.prefix.len();
                this.prefix.extend(data.iter().take(missing));
                if let [_, a, b, c, d] = *this.prefix.as_slice() {
                    let length = u32::from_be_bytes([a, b, c, d]) as usize;
                    this.waiting = Some((frame, this.memory.permits(length)));
                } else {
                    return Poll::Ready(Some(Ok(frame)));
                }
            } else {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        if let Some((_, permits)) = &this.waiting {
            let permit = ready!(this.semaphore.poll_acquire_many(cx, *permits));
            if let Some(slot) = &this.slot {
                slot.set(|state| state.permit = permit);
            }
        }
        Poll::Ready(this.waiting.take().map(|(frame, _)| Ok(frame)))
    }
}
