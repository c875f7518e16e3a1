//! `/`: whether one could restore now, and how far back. One page, nothing from elsewhere, whole
//! without JavaScript; with it, it keeps itself up to date.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Site, parts};
use crate::output;
use crate::serve::view::View;

const STYLE: &str = include_str!("style.css");

/// Replaces what has changed, unless the page is hidden or somebody's focus is in it.
const REFRESH: &str = "setInterval(async()=>{const m=document.querySelector('main');\
if(document.hidden||m!==document.activeElement&&m.contains(document.activeElement))return;try{const r=await fetch(location.href);\
if(!r.ok)throw 0;const d=new DOMParser().parseFromString(await r.text(),'text/html');\
m.replaceWith(d.querySelector('main'));document.title=d.title}catch(e){\
document.querySelector('#stale').hidden=false;return}document.querySelector('#stale').hidden=true},5000)";

/// Which page a person is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// How things stand.
    State,
    /// The list of archived histories.
    Histories,
    /// Below that.
    History,
}

/// `GET /`
pub async fn show(State(site): State<Site>) -> Response {
    let nonce = nonce();
    let page = page(&site.view(), Utc::now(), &nonce);
    respond(StatusCode::OK, &nonce, page)
}

/// A word that only this answer has, by which its own style and script are let through.
pub fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A page as an answer that loads nothing from anywhere.
pub fn respond(status: StatusCode, nonce: &str, page: Markup) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let page = axum::response::Html(page.into_string());
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

/// What every page has around it.
pub fn shell(view: &View, place: Place, title: &str, nonce: &str, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · aidp-backup" }
                @if place == Place::State {
                    noscript { meta http-equiv="refresh" content="60"; }
                }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "To the content" }
                header {
                    @if place == Place::State { h1 { "aidp-backup" } }
                    @else { p class="brand" { "aidp-backup" } }
                    @if view.browse { (pages(place)) }
                    span class="soft" { (view.store) }
                    span id="stale" class="tag bad" role="status" hidden { "not up to date: no answer" }
                }
                main id="main" tabindex="-1" { (main) }
                footer class="soft" {
                    "Version " (env!("CARGO_PKG_VERSION")) " · "
                    a href="/api/v1/status" { "state as JSON" } " · "
                    a href="/metrics" { "metrics" }
                }
                @if place == Place::State { script nonce=(nonce) { (PreEscaped(REFRESH)) } }
            }
        }
    }
}

fn pages(place: Place) -> Markup {
    html! {
        nav aria-label="Pages" {
            a href="/" aria-current=[(place == Place::State).then_some("page")] { "State" }
            a href="/histories" aria-current=[(place == Place::Histories).then_some("page")] {
                "Histories"
            }
        }
    }
}

fn page(view: &View, now: DateTime<Utc>, nonce: &str) -> Markup {
    let answer = parts::answer(view, now);
    let main = html! {
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
    };
    shell(view, Place::State, answer.short, nonce, main)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
