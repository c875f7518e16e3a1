//! The browser of archived histories: search, one run as a timeline, the same as a file.
//!
//! Whoever reaches the page may read, so payloads are shown as they are stored: no codec server is
//! asked, and what is encrypted stays so. Few may read at a time, and none for long.

mod list;
mod readers;
mod run;
mod search;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::Verdict;
use jobs::history::list::ListRuns;
use jobs::history::show::{ShowRun, Shown};
use maud::html;

use super::page::{Place, nonce, respond, shell};
use super::{Site, api};
use crate::serve::view::View;
pub use readers::Readers;
use run::Run;
use search::Search;

/// Runs on one page of the list.
const PAGE: usize = 50;

/// `GET /histories`
pub async fn list(State(site): State<Site>, Query(search): Query<Search>) -> Response {
    let view = site.view();
    if !view.browse {
        return nothing_here();
    }
    let query = match search.query() {
        Ok(query) => query,
        Err(what) => return complain(&view, StatusCode::BAD_REQUEST, &what, None),
    };
    let job = ListRuns { query, limit: Some(PAGE) };
    match site.readers.read(&view.catalogue, &job).await {
        Ok(runs) => {
            let nonce = nonce();
            let main = list::page(&search, &runs);
            let page = shell(&view, Place::Histories, "Histories", &nonce, main);
            respond(StatusCode::OK, &nonce, page)
        }
        Err(failure) => failure.show(&view),
    }
}

/// `GET /histories/run`
pub async fn run(State(site): State<Site>, Query(run): Query<Run>) -> Response {
    let view = site.view();
    if !view.browse {
        return nothing_here();
    }
    let shown = match find(&site, &view, &run).await {
        Ok(shown) => shown,
        Err(failure) => return failure.show(&view),
    };
    let title = shown.summary.workflow_id.clone();
    // A long history takes a while, and others want to be answered meanwhile.
    let made = tokio::task::spawn_blocking(move || run::page(&run, &shown)).await;
    match made {
        Ok(Ok(main)) => {
            let nonce = nonce();
            let page = shell(&view, Place::History, &title, &nonce, main);
            respond(StatusCode::OK, &nonce, page)
        }
        Ok(Err(error)) => {
            let what = format!("the history cannot be read: {error}");
            complain(&view, StatusCode::INTERNAL_SERVER_ERROR, &what, None)
        }
        Err(_) => {
            let what = "the history could not be shown";
            complain(&view, StatusCode::INTERNAL_SERVER_ERROR, what, None)
        }
    }
}

/// `GET /histories/run.json`
pub async fn download(State(site): State<Site>, Query(run): Query<Run>) -> Response {
    let view = site.view();
    if !view.browse {
        return nothing_here();
    }
    let Some(place) = site.readers.downloading().await else {
        return readers::Failure::Busy.show(&view);
    };
    match find(&site, &view, &run).await {
        Ok(shown) => {
            let name = format!("attachment; filename=\"{}.json\"", shown.summary.run_id);
            let head = [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            // Its place is taken until the last piece is on its way.
            (head, Body::from_stream(readers::pieces(shown.history, place))).into_response()
        }
        Err(failure) => failure.show(&view),
    }
}

async fn find(site: &Site, view: &View, run: &Run) -> Result<Shown, readers::Failure> {
    let job = ShowRun {
        from: None,
        workflow_id: run.workflow.clone(),
        run_id: Some(run.run.clone()),
        namespace: jobs::archive::Pattern::new(&run.namespace),
    };
    site.readers.read(&view.catalogue, &job).await
}

fn nothing_here() -> Response {
    let hint = Some("archived histories are not shown: --browse false");
    api::refusal(StatusCode::NOT_FOUND, "there is nothing here", hint)
}

/// A page that says what is wrong.
fn complain(view: &View, status: StatusCode, what: &str, hint: Option<&str>) -> Response {
    let nonce = nonce();
    let main = html! {
        h1 { "Histories" }
        section class="verdict bad" role="alert" {
            p { (what) }
            @if let Some(hint) = hint { p class="soft" { "What helps: " (hint) } }
        }
        p { a href="/histories" { "All histories" } }
    };
    respond(status, &nonce, shell(view, Place::History, "Histories", &nonce, main))
}

impl readers::Failure {
    fn show(&self, view: &View) -> Response {
        match self {
            Self::Busy => {
                let what = "others are reading histories: try again in a moment";
                complain(view, StatusCode::SERVICE_UNAVAILABLE, what, None)
            }
            Self::Slow => {
                let what = "the store took too long to answer";
                let hint = Some("restrict the search: a time, a namespace, a whole workflow id");
                complain(view, StatusCode::GATEWAY_TIMEOUT, what, hint)
            }
            Self::Job(error) => {
                let status = match error.verdict() {
                    Verdict::Refused => StatusCode::NOT_FOUND,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                // Its hint is for the command line.
                complain(view, status, &jobs::chain(error), None)
            }
        }
    }
}
