//! The sidecar over HTTP. Everything it says is the engine's last [`View`]; the one thing it can
//! do, to start a job, takes the token.

mod api;
mod auth;
mod calendar;
mod histories;
mod namespaces;
mod page;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use histories::Readers;

use super::engine::Requests;
use super::view::View;
use crate::metrics;

/// Connections at the same time; whoever comes later waits.
const CONNECTIONS: usize = 64;
/// How long a client may take to send its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last, however it is used: a slow reader must not keep its place.
const CONNECTION_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's headers.
const HEADER_BYTES: usize = 16 * 1024;
/// Headers of a request.
const HEADERS: usize = 64;
/// Bytes of a request's body; no request needs one.
const BODY_BYTES: usize = 1024;

/// What every handler is given.
#[derive(Clone)]
pub(super) struct Site {
    pub views: watch::Receiver<Arc<View>>,
    pub requests: Requests,
    /// Room for those who read histories.
    pub readers: Readers,
}

impl Site {
    pub fn view(&self) -> Arc<View> {
        self.views.borrow().clone()
    }
}

/// Serves until `stop`, then ends what is open.
pub async fn serve(
    listener: TcpListener,
    views: watch::Receiver<Arc<View>>,
    requests: Requests,
    stop: CancellationToken,
) {
    let router = router(Site { views, requests, readers: Readers::default() });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while open.try_join_next().is_some() {}
        match (accepted, place) {
            (Ok((stream, _)), Ok(place)) => {
                let router = router.clone();
                open.spawn(async move {
                    // It does not matter to anyone else how a connection ends.
                    let _ = tokio::time::timeout(CONNECTION_WITHIN, attend(stream, router)).await;
                    drop(place);
                });
            }
            (Err(error), _) => {
                // Out of file descriptors, most likely: it passes when others close theirs.
                tracing::debug!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (_, Err(_)) => break,
        }
    }
    open.shutdown().await;
}

async fn attend(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection ended early: {error}");
    }
}

fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/histories", get(histories::list))
        .route("/histories/run", get(histories::run))
        .route("/histories/run.json", get(histories::download))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/jobs/{job}", post(api::start))
        .fallback(|| async { api::refusal(StatusCode::NOT_FOUND, "there is nothing here", None) })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::map_response(guard))
        .with_state(site)
}

/// Headers of every answer: nothing is kept, framed, guessed or loaded from elsewhere.
async fn guard(mut response: Response) -> Response {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let name: HeaderName = name;
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether it can do its work: the store answers, and it is not about to end.
async fn ready(State(site): State<Site>) -> Response {
    let view = site.view();
    let unready =
        |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    match (&view.trouble, &view.overview, view.stopping) {
        (_, _, true) => unready("stopping".into()),
        (Some(trouble), _, _) => unready(trouble.error.clone()),
        (None, None, _) => unready("the store has not been looked at yet".into()),
        (None, Some(_), false) => "ready\n".into_response(),
    }
}

async fn numbers(State(site): State<Site>) -> Response {
    let text = metrics::of_sidecar(&site.view());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
