//! What a server can deliver: fetches the history of every closed run of a namespace and throws it
//! away. `harness bench histories-archive` measures archiving against it.
//!
//!     drain HOST:PORT NAMESPACE [CALLS-IN-FLIGHT]

use std::collections::BTreeMap;
use std::error::Error;

use temporal::connect::{Connection, Options};
use temporal::limit::Limits;
use temporal::query;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, namespace, rest @ ..] = arguments.as_slice() else {
        return Err("usage: drain HOST:PORT NAMESPACE [CALLS-IN-FLIGHT]".into());
    };
    let concurrency = rest.first().map_or(Ok(16), |text| text.parse())?;
    // As much as the server gives, and as it comes.
    let limits = Limits {
        history_rate: f64::INFINITY,
        visibility_rate: f64::INFINITY,
        concurrency,
        memory: 1 << 30,
        ..Limits::default()
    };
    let environment = BTreeMap::from([("TEMPORAL_CONFIG_FILE".into(), "/dev/null".into())]);
    let options = Options {
        address: Some(address.clone()),
        environment,
        limits,
        identity: "drain".into(),
        ..Options::default()
    };
    let connection = Connection::open(&options).await?;
    let namespace = connection.namespace(namespace).await?;
    let (mut runs, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = connection.list(&namespace, &query::closed("", None, None), token).await?;
        runs.extend(page.executions);
        if page.next.is_empty() {
            break;
        }
        token = page.next;
    }
    let (listed, mut pages, mut bytes) = (runs.len(), 0, 0);
    let mut fetching = JoinSet::new();
    loop {
        while fetching.len() < concurrency
            && let Some(run) = runs.pop()
        {
            let (connection, namespace) = (connection.clone(), namespace.clone());
            fetching.spawn(async move { connection.drain(&namespace, &run).await });
        }
        let Some(drained) = fetching.join_next().await else { break };
        let drained = drained??;
        pages += drained.pages;
        bytes += drained.bytes;
    }
    say(&format!("{listed} runs in {pages} pages, {bytes} bytes"));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "it is all that this program has to say")]
fn say(text: &str) {
    println!("{text}");
}
