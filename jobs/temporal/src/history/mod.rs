//! One run's history, from the server to a line.

pub(crate) mod alias;
mod compare;
mod events;
mod pages;
mod response;

use std::sync::Arc;

use crate::connect::Connection;
use crate::error::Error;
use crate::json::scalar::base64_digits;
use crate::line::Head;
use crate::namespace::Namespace;
use crate::segment::{Codec, EncodedLine, LineBuilder, Summary};
use crate::visibility::Execution;

use events::{Events, Out};
use pages::Pages;
use response::Page;

pub(crate) use compare::next_event;
pub use compare::{Difference, ReadBack};

/// Pages from this size on are worked on beside the asynchronous threads.
const HEAVY: usize = 128 << 10;

/// A run, fetched.
#[derive(Debug)]
pub struct Fetched {
    /// What the index says of it.
    pub summary: Summary,
    /// Its line, history included.
    pub line: EncodedLine,
    /// Events in the history.
    pub events: u64,
}

/// What was fetched and thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Pages.
    pub pages: u64,
    /// Bytes of answers.
    pub bytes: u64,
}

impl Connection {
    /// Fetches the whole history of a closed run and writes its line. It may be called from many
    /// tasks at once: how many calls are in flight, how fast they follow each other, and how much
    /// memory they take is bounded for all of them together. A line that has been given back counts
    /// no longer: see [`EncodedLine::stored_len`].
    ///
    /// # Errors
    /// [`Error::Vanished`] when the run is gone by now.
    pub async fn fetch(
        &self,
        namespace: &Namespace,
        run: &Execution,
        codec: Codec,
    ) -> Result<Fetched, Error> {
        let _memory = self.inner.limiter.line(run.history_size_bytes).await;
        let mut head = Head::new(&self.inner.schema, namespace, run)?;
        let begin = || Writing::begin(self, namespace, run, codec);

        // Nearly always there is nothing that we do not know, and this is all.
        let mut writing = begin()?;
        writing.line.write(&head.text()?)?;
        writing.line.write(HISTORY)?;
        let mut pages = Pages::new(self, namespace, run);
        let mut only = None;
        while let Some(page) = pages.next().await? {
            let is_only = writing.events.count == 0 && page.next.is_empty();
            only = is_only.then(|| page.again());
            writing = writing.add(page, Writing::page).await?;
        }
        writing.events.end(run.history_length)?;
        if writing.events.unknown.is_empty() {
            return writing.finish(head.summary);
        }

        // A newer server's fields have no place in JSON: the wire bytes are kept beside it. They
        // stand before the history, so that takes another round, without another call when the
        // history had one page.
        head.add_unknown(&writing.events.unknown);
        let mut replay = Replay::new(self, namespace, run, only.as_ref());
        writing = begin()?;
        writing.line.write(&head.text()?)?;
        writing.line.write(b",\"historyProto\":\"")?;
        while let Some(page) = replay.next().await? {
            writing = writing.add(page, Writing::proto).await?;
        }
        writing.end_proto()?;
        writing.line.write(b"\"")?;
        writing.line.write(HISTORY)?;
        let mut replay = Replay::new(self, namespace, run, only.as_ref());
        while let Some(page) = replay.next().await? {
            writing = writing.add(page, Writing::page).await?;
        }
        writing.events.end(run.history_length)?;
        writing.finish(head.summary)
    }

    /// Fetches the whole history of a run and throws it away: what the server can deliver, against
    /// which [`Connection::fetch`] is measured.
    ///
    /// # Errors
    /// As [`Connection::fetch`].
    pub async fn drain(&self, namespace: &Namespace, run: &Execution) -> Result<Drained, Error> {
        let mut drained = Drained::default();
        let mut pages = Pages::new(self, namespace, run);
        while let Some(raw) = pages.raw().await? {
            drained.pages += 1;
            drained.bytes += raw.bytes.len() as u64;
            pages.turn(&Page::parse(raw)?);
        }
        Ok(drained)
    }
}

const HISTORY: &[u8] = b",\"history\":{\"events\":[";

/// A line being written.
struct Writing {
    line: LineBuilder,
    events: Events,
    /// Bytes whose base64 has not begun a new group of three.
    left: Vec<u8>,
}

impl Out for LineBuilder {
    fn json(&mut self, piece: &[u8]) -> Result<(), Error> {
        Ok(self.write(piece)?)
    }
}

impl Writing {
    fn begin(
        connection: &Connection,
        namespace: &Namespace,
        run: &Execution,
        codec: Codec,
    ) -> Result<Self, Error> {
        let aliases = Arc::new(namespace.aliases.clone());
        let events = Events::new(&connection.inner.schema, aliases, run)?;
        Ok(Self { line: LineBuilder::new(codec), events, left: Vec::new() })
    }

    /// Adds a page: here when it is small, on a thread for such work when it is not.
    async fn add(
        mut self,
        page: Page,
        how: fn(&mut Self, &Page) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if page.len() < HEAVY {
            how(&mut self, &page)?;
            return Ok(self);
        }
        let work = tokio::task::spawn_blocking(move || how(&mut self, &page).map(|()| self));
        match work.await {
            Ok(done) => done,
            // Only a panic ends such work early, and it goes on here.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn page(&mut self, page: &Page) -> Result<(), Error> {
        self.events.page(page, &mut self.line)
    }

    /// Writes the page's wire bytes. Histories one after the other are the wire bytes of one.
    fn proto(&mut self, page: &Page) -> Result<(), Error> {
        let mut out = Vec::new();
        for history in &page.histories {
            for piece in history.chunks(48 << 10) {
                self.left.extend_from_slice(piece);
                let whole = self.left.len() / 3 * 3;
                out.clear();
                base64_digits(self.left.get(..whole).unwrap_or_default(), &mut out);
                self.left.drain(..whole);
                self.line.write(&out)?;
            }
        }
        Ok(())
    }

    fn end_proto(&mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        base64_digits(&std::mem::take(&mut self.left), &mut out);
        Ok(self.line.write(&out)?)
    }

    fn finish(mut self, summary: Summary) -> Result<Fetched, Error> {
        self.line.write(b"]}}")?;
        Ok(Fetched { summary, line: self.line.finish()?, events: self.events.count })
    }
}

/// A history once more: from its only page, or from the server.
enum Replay<'a> {
    Only(Option<&'a Page>),
    Pages(Pages<'a>),
}

impl<'a> Replay<'a> {
    fn new(
        connection: &'a Connection,
        namespace: &Namespace,
        run: &Execution,
        only: Option<&'a Page>,
    ) -> Self {
        match only {
            Some(page) => Self::Only(Some(page)),
            None => Self::Pages(Pages::new(connection, namespace, run)),
        }
    }

    async fn next(&mut self) -> Result<Option<Page>, Error> {
        match self {
            Self::Only(page) => Ok(page.take().map(Page::again)),
            Self::Pages(pages) => pages.next().await,
        }
    }
}
