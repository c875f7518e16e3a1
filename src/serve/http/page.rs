//! `/`: whether one could restore now, and how far back. One page, nothing from elsewhere, whole
//! without JavaScript; with it, it keeps itself up to date.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Site, parts};
use crate::output;
use crate::serve::view::View;

const STYLE: &str = include_str!("style.css");

/// Replaces what has changed, unless the page is hidden or somebody's focus is in it.
const REFRESH: &str = "setInterval(async()=>{const m=document.querySelector('main');\
if(document.hidden||m.contains(document.activeElement))return;try{const r=await fetch(location.href);\
if(!r.ok)throw 0;const d=new DOMParser().parseFromString(await r.text(),'text/html');\
m.replaceWith(d.querySelector('main'));document.title=d.title}catch(e){\
document.querySelector('#stale').hidden=false;return}document.querySelector('#stale').hidden=true},5000)";

/// `GET /`
pub async fn show(State(site): State<Site>) -> Response {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = page(&site.view(), Utc::now(), &nonce);
    ([(header::CONTENT_SECURITY_POLICY, policy)], axum::response::Html(page.into_string()))
        .into_response()
}

fn page(view: &View, now: DateTime<Utc>, nonce: &str) -> Markup {
    let answer = parts::answer(view, now);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (answer.short) " · aidp-backup" }
                noscript { meta http-equiv="refresh" content="60"; }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "To the state of the backups" }
                header {
                    h1 { "aidp-backup" }
                    span class="soft" { (view.store) }
                    span id="stale" class="tag bad" role="status" hidden { "not up to date: no answer" }
                }
                main id="main" {
                    section class={ "verdict " (answer.class) } aria-label="Could I restore now?" {
                        p { (answer.text) }
                        @for more in &answer.more { p class="soft" { (more) } }
                    }
                    @for trouble in parts::troubles(view) { (trouble) }
                    @for task in &view.tasks { (parts::task(view, task, now)) }
                    (parts::store(view, now))
                    p class="soft" {
                        "As of " time datetime=(now.to_rfc3339()) { (output::moment(now)) }
                        @if view.stopping { " · stopping" }
                    }
                }
                footer class="soft" {
                    "Version " (env!("CARGO_PKG_VERSION")) " · "
                    a href="/api/v1/status" { "state as JSON" } " · "
                    a href="/metrics" { "metrics" }
                }
                script nonce=(nonce) { (PreEscaped(REFRESH)) }
            }
        }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
