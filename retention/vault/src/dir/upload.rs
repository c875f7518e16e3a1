//! An object being written to a directory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::error::Context;
use super::temporary::Temporary;
use super::tree::Tree;
use crate::{Key, PutMode, StoreError, StoreErrorKind, Upload, Uploaded};

/// Bytes that are collected before the file is written to: large enough that a trip to a
/// blocking thread costs nothing, small enough for many uploads at once.
const PIECE: usize = 1 << 20;

/// An upload holds at most one piece being written and one being collected.
pub(super) struct DirUpload {
    tree: Arc<Tree>,
    context: Context,
    key: Key,
    collected: Vec<Bytes>,
    collected_bytes: usize,
    state: State,
}

/// The file is here between two pieces and in a blocking thread while one is written.
enum State {
    Idle(Progress),
    Writing(JoinHandle<Result<Progress, StoreError>>),
    Failed,
}

struct Progress {
    file: Temporary,
    digest: Sha256,
    size: u64,
}

impl Progress {
    fn append(&mut self, pieces: &[Bytes]) -> std::io::Result<()> {
        for piece in pieces {
            self.digest.update(piece);
            self.size += piece.len() as u64;
        }
        self.file.append(pieces)
    }
}

impl DirUpload {
    /// An upload into `file`, to become the object `key`.
    pub(super) fn new(tree: Arc<Tree>, context: Context, key: Key, file: Temporary) -> Self {
        let state = State::Idle(Progress { file, digest: Sha256::new(), size: 0 });
        Self { tree, context, key, collected: Vec::new(), collected_bytes: 0, state }
    }

    /// Waits for the piece being written.
    async fn settle(&mut self) -> Result<Progress, StoreError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(progress) => Ok(progress),
            State::Writing(task) => task.await.unwrap_or_else(|error| {
                let action = format!("cannot write {}", self.key);
                Err(self.context.error(action, std::io::Error::other(error)))
            }),
            State::Failed => {
                let action = format!("cannot go on writing {} after a failure", self.key);
                Err(StoreError::new(StoreErrorKind::Other, action, &self.context.store))
            }
        }
    }

    /// Hands what was collected to a blocking thread.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let mut progress = self.settle().await?;
        let pieces = std::mem::take(&mut self.collected);
        self.collected_bytes = 0;
        let (context, key) = (self.context.clone(), self.key.clone());
        self.state =
            State::Writing(tokio::task::spawn_blocking(move || match progress.append(&pieces) {
                Ok(()) => Ok(progress),
                Err(error) => Err(context.error(format!("cannot write {key}"), error)),
            }));
        Ok(())
    }
}

#[async_trait]
impl Upload for DirUpload {
    async fn write(&mut self, content: Bytes) -> Result<(), StoreError> {
        if content.is_empty() {
            return Ok(());
        }
        self.collected_bytes += content.len();
        self.collected.push(content);
        if self.collected_bytes >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, StoreError> {
        let mut progress = self.settle().await?;
        let Self { tree, context, key, collected, .. } = *self;
        let at = context.clone();
        context
            .blocking(move || {
                let failed = |error| at.error(format!("cannot write {key}"), error);
                progress.append(&collected).map_err(failed)?;
                let durable = tree.when_durable(progress.size);
                progress.file.publish(&tree, &key, PutMode::Overwrite, durable).map_err(failed)?;
                Ok(Uploaded { size: progress.size, sha256: progress.digest.finalize().into() })
            })
            .await
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        if let State::Writing(task) = std::mem::replace(&mut self.state, State::Failed) {
            // Whatever became of the piece, its file is removed as it is dropped.
            let _ = task.await;
        }
        Ok(())
    }
}
