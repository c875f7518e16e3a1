//! A manifest, of whatever kind, as the bytes of a stored object.
//!
//! The document is `{"manifest":M,"sha256":"D"}` and a line feed, where `M` is the manifest as
//! compact JSON in the order of its fields and `D` the SHA-256 of the bytes of `M`. The frame
//! is the same in every version of the format and is compared byte by byte, so no byte of the
//! object can change without being noticed, and a document from the future is told from a
//! damaged one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{StoreError, hex};

/// Largest document that is written or read. Some 50,000 tables fit.
pub const MAX_BYTES: usize = 32 << 20;

const HEAD: &[u8] = b"{\"manifest\":";
const MIDDLE: &[u8] = b",\"sha256\":\"";
const TAIL: &[u8] = b"\"}\n";
const HEX_DIGITS: usize = 64;

/// Why bytes are no manifest of ours, or a manifest is not fit to be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not those that were written.
    #[error("the manifest is damaged: {reason}")]
    Damaged {
        /// What gives it away.
        reason: &'static str,
    },
    /// Written by a newer program.
    #[error("the manifest has format version {found}, and this program reads up to {supported}")]
    Newer {
        /// Its version.
        found: u32,
        /// [`FORMAT_VERSION`].
        supported: u32,
    },
    /// The digest is right, but this is no manifest of the version it claims.
    #[error("the manifest does not follow format version {version}")]
    Malformed {
        /// The version it claims.
        version: u32,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// It contradicts itself.
    #[error("the manifest contradicts itself: {reason}")]
    Contradiction {
        /// How.
        reason: String,
    },
    /// Its bytes cannot be had: there are more than any manifest has, or the store has lost some.
    #[error("{reason}")]
    Unreadable {
        /// Why, in the store's words.
        reason: String,
    },
    /// Larger than [`MAX_BYTES`].
    #[error("the manifest has {size} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Its bytes.
        size: usize,
    },
}

impl ManifestError {
    /// From a store that has read something which cannot be a manifest.
    pub(crate) fn unreadable(error: &StoreError) -> Self {
        let cause = error.source.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Unreadable { reason: format!("{}{cause}", error.action) }
    }

    /// What mends it, when anything is known to.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Damaged { .. } | Self::Unreadable { .. } => {
                Some("restore this object from a copy of the store; its data may be intact")
            }
            Self::Newer { .. } => {
                Some("use the release of aidp-backup that wrote it, or a newer one")
            }
            Self::TooLarge { .. } => Some("export fewer tables at a time, with --table"),
            Self::Malformed { .. } | Self::Contradiction { .. } => None,
        }
    }
}

/// All that is read of a document before its version is known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    format_version: u32,
}

/// What is stored as a document.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// Newest format that is written and read.
    const FORMAT_VERSION: u32;

    /// The format of this one.
    fn format_version(&self) -> u32;

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<(), ManifestError>;
}

/// The document to store.
pub(crate) fn encode<D: Document>(manifest: &D) -> Result<Vec<u8>, ManifestError> {
    manifest.check()?;
    if manifest.format_version() != D::FORMAT_VERSION {
        let reason = format!("format version {} is not written here", manifest.format_version());
        return Err(ManifestError::Contradiction { reason });
    }
    let manifest = to_json(manifest)?;
    let digest = hex::encode(&Sha256::digest(&manifest));
    let document = [HEAD, &manifest, MIDDLE, digest.as_bytes(), TAIL].concat();
    if document.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { size: document.len() });
    }
    Ok(document)
}

/// The manifest in a stored document.
pub(crate) fn decode<D: Document>(document: &[u8]) -> Result<D, ManifestError> {
    if document.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { size: document.len() });
    }
    let damaged = |reason| ManifestError::Damaged { reason };
    let framed = document
        .strip_prefix(HEAD)
        .and_then(|rest| rest.strip_suffix(TAIL))
        .ok_or(damaged("it does not begin and end like one"))?;
    let (rest, digest) = framed
        .len()
        .checked_sub(HEX_DIGITS)
        .and_then(|at| framed.split_at_checked(at))
        .ok_or(damaged("it is cut short"))?;
    let manifest =
        rest.strip_suffix(MIDDLE).ok_or(damaged("it does not begin and end like one"))?;
    if hex::encode(&Sha256::digest(manifest)).as_bytes() != digest {
        return Err(damaged("its content does not match its digest"));
    }
    from_json(manifest)
}

fn to_json<D: Document>(manifest: &D) -> Result<Vec<u8>, ManifestError> {
    let version = manifest.format_version();
    serde_json::to_vec(manifest).map_err(|source| ManifestError::Malformed { version, source })
}

fn from_json<D: Document>(json: &[u8]) -> Result<D, ManifestError> {
    let malformed = |version| move |source| ManifestError::Malformed { version, source };
    let found = serde_json::from_slice::<Version>(json).map_err(malformed(0))?.format_version;
    if found > D::FORMAT_VERSION {
        return Err(ManifestError::Newer { found, supported: D::FORMAT_VERSION });
    }
    if found == 0 {
        return Err(ManifestError::Contradiction { reason: "format version 0".into() });
    }
    let manifest: D = serde_json::from_slice(json).map_err(malformed(found))?;
    manifest.check()?;
    // Spaces, another order of fields or another spelling of a number are not ours.
    if to_json(&manifest)? != json {
        return Err(ManifestError::Contradiction { reason: "it is not in canonical form".into() });
    }
    Ok(manifest)
}
