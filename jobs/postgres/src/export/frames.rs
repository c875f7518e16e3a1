//! Compressed frames, one after the other into one file.
//!
//! Bytes are gathered into contiguous buffers. Each becomes a frame of its own on a blocking
//! thread, while the next one is being gathered and earlier ones are being written.

use std::collections::VecDeque;

use pgarchive::{Codec, FileWriter, FrameEncoder};
use tokio::task::JoinHandle;

use super::files::failed;
use crate::Error;

/// A frame holds no more than this.
const MOST: usize = 1 << 20;

/// A frame that holds this much is not filled up with part of what comes next.
const ENOUGH: usize = 768 << 10;

/// Compressors and their buffers, kept from one file to the next.
pub(super) struct Encoders {
    codec: Codec,
    /// How many frames are compressed at once.
    lanes: usize,
    idle: Vec<Lane>,
}

/// A compressor with its buffers. It goes to a blocking thread and comes back.
struct Lane {
    frames: FrameEncoder,
    input: Vec<u8>,
    output: Vec<u8>,
}

type Running = JoinHandle<Result<Lane, pgarchive::Error>>;

impl Encoders {
    /// Compresses up to `lanes` frames of `codec` at once.
    pub fn new(codec: Codec, lanes: usize) -> Self {
        Self { codec, lanes: lanes.max(1), idle: Vec::new() }
    }

    fn lane(&mut self, file: &str) -> Result<Lane, Error> {
        if let Some(lane) = self.idle.pop() {
            return Ok(lane);
        }
        let frames = FrameEncoder::new(self.codec).map_err(|e| failed(file)(e.into()))?;
        Ok(Lane { frames, input: Vec::new(), output: Vec::new() })
    }
}

/// Writes one file.
pub(super) struct Frames<'w> {
    encoders: &'w mut Encoders,
    writer: &'w mut dyn FileWriter,
    /// Its name, for errors.
    file: &'w str,
    gathered: Vec<u8>,
    running: VecDeque<Running>,
    /// Frames begun.
    count: u64,
}

impl<'w> Frames<'w> {
    /// Begins `writer`'s first frame.
    pub fn new(encoders: &'w mut Encoders, writer: &'w mut dyn FileWriter, file: &'w str) -> Self {
        let gathered = Vec::with_capacity(MOST);
        Self { encoders, writer, file, gathered, running: VecDeque::new(), count: 0 }
    }

    /// Appends `bytes`, cutting frames as they get full.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while bytes.len() > MOST - self.gathered.len() {
            if self.gathered.len() < ENOUGH {
                let (head, tail) = bytes.split_at(MOST - self.gathered.len());
                self.gathered.extend_from_slice(head);
                bytes = tail;
            }
            self.cut().await?;
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is left. A file has at least one frame.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn finish(mut self) -> Result<(), Error> {
        if !self.gathered.is_empty() || self.count == 0 {
            self.cut().await?;
        }
        while let Some(task) = self.running.pop_front() {
            let mut lane = finished(task, self.file).await?;
            let output = std::mem::take(&mut lane.output);
            self.encoders.idle.push(lane);
            self.write(output).await?;
        }
        Ok(())
    }

    /// Has what is gathered compressed. The thread gets it before what an earlier one gave is
    /// written, so that it never waits for the store.
    async fn cut(&mut self) -> Result<(), Error> {
        let mut lane = if self.running.len() < self.encoders.lanes {
            self.encoders.lane(self.file)?
        } else {
            match self.running.pop_front() {
                Some(task) => finished(task, self.file).await?,
                None => self.encoders.lane(self.file)?,
            }
        };
        let output = std::mem::take(&mut lane.output);
        std::mem::swap(&mut lane.input, &mut self.gathered);
        self.gathered.clear();
        self.gathered.reserve(MOST);
        self.count += 1;
        self.running.push_back(tokio::task::spawn_blocking(move || {
            lane.frames.encode(&lane.input, &mut lane.output)?;
            Ok(lane)
        }));
        self.write(output).await
    }

    async fn write(&mut self, output: Vec<u8>) -> Result<(), Error> {
        if output.is_empty() {
            return Ok(());
        }
        self.writer.write(output.into()).await.map_err(failed(self.file))
    }
}

async fn finished(task: Running, file: &str) -> Result<Lane, Error> {
    match task.await {
        Ok(lane) => lane.map_err(|e| failed(file)(e.into())),
        Err(join) => Err(failed(file)(join.into())),
    }
}
