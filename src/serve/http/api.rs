//! `/api/v1`: the state as JSON, and the way to start a job. Described in `docs/json.md`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{SubsecRound, Utc};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Site, auth};
use crate::serve::engine::{Answer, Request};
use crate::serve::task::Task;
use crate::serve::view::{TaskView, View};

/// `GET /api/v1/status`
pub async fn status(State(site): State<Site>) -> Json<Value> {
    Json(document(&site.view()))
}

fn document(view: &View) -> Value {
    let overview = view.overview.as_deref();
    json!({
        "version": 1,
        "now": Utc::now().trunc_subsecs(0),
        "programVersion": env!("CARGO_PKG_VERSION"),
        "stopping": view.stopping,
        "store": {
            "address": view.store,
            "lookedAt": overview.map(|seen| seen.now),
            "trouble": view.trouble,
            "bytes": overview.and_then(|seen| seen.store_bytes),
            "freeBytes": view.space.map(|(free, _)| free),
            "lease": overview.and_then(|seen| seen.lease.as_ref()),
            "historiesLease": overview.and_then(|seen| seen.histories_lease.as_ref()),
            "unreadable": overview.map(|seen| &seen.unreadable),
        },
        "configuration": view.reload,
        "overdueAfterSeconds": view.overdue_after.num_seconds(),
        "jobs": view.tasks.iter().map(job).collect::<Vec<_>>(),
    })
}

fn job(task: &TaskView) -> Value {
    let running = task.running.as_ref().map(|running| {
        let reading = running.progress.reading();
        json!({
            "run": running.run, "started": running.started, "why": running.why, "phase": reading.phase,
            "bytes": reading.bytes, "totalBytes": reading.total, "rows": reading.rows,
        })
    });
    json!({
        "job": task.name,
        "schedule": task.schedule.as_ref().map(|(text, _)| text),
        "timeZone": task.schedule.as_ref().map(|(_, zone)| zone),
        "next": task.next.map(|next| json!({ "at": next.at, "why": next.why })),
        "running": running,
        "last": task.last,
        "sources": task.sources,
        "lastGood": task.last_good(),
        "oldest": task.oldest().map(|kept| kept.summary.started),
        "backups": task.backups.len(),
        "record": task.record,
        "namespaces": task.namespaces(),
    })
}

/// `POST /api/v1/jobs/JOB`
pub async fn start(
    State(site): State<Site>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let view = site.view();
    let Some(token) = &view.token else {
        let hint = "set AIDP_BACKUP_TOKEN or --token-file";
        return refusal(StatusCode::FORBIDDEN, "this sidecar is read-only", Some(hint));
    };
    if !auth::is_bearer(&headers, token) {
        let mut response = refusal(StatusCode::UNAUTHORIZED, "this takes the token", None);
        let challenge = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let Some(task) = Task::ALL.into_iter().find(|task| task.name() == job) else {
        return refusal(StatusCode::NOT_FOUND, "there is no such job", None);
    };
    let (answer, answered) = oneshot::channel();
    let sent = site.requests.send(Request { task, answer }).await;
    match (sent, answered.await) {
        (Ok(()), Ok(Answer::Started)) => {
            let body = json!({ "version": 1, "job": job, "started": true });
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
        (Ok(()), Ok(Answer::Running)) => {
            refusal(StatusCode::CONFLICT, "it is running already", None)
        }
        (Ok(()), Ok(Answer::Refused)) => {
            let error = "the configuration does not allow it at the moment";
            refusal(StatusCode::INTERNAL_SERVER_ERROR, error, Some("/api/v1/status says why"))
        }
        _ => refusal(StatusCode::SERVICE_UNAVAILABLE, "the sidecar is stopping", None),
    }
}

/// What every refusal looks like.
pub fn refusal(status: StatusCode, error: &str, hint: Option<&str>) -> Response {
    (status, Json(json!({ "version": 1, "error": error, "hint": hint }))).into_response()
}
