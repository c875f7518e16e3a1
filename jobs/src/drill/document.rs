//! Evidence as the bytes of a stored document (`docs/formats/drill-evidence.md`).
//!
//! `{"evidence":E,"sha256":"D"}` and a line feed, where `E` is the evidence as compact JSON and
//! `D` the SHA-256 of its bytes; when it is signed, `,"ed25519":{"publicKey":"K","signature":"S"}`
//! follows `D`. The frame is compared byte by byte.

use sha2::{Digest, Sha256};
use vault::hex;

use super::key::decode;
use super::{Evidence, FORMAT, PublicKey, SigningKey};

/// Largest document that is read.
pub(super) const MAX_BYTES: u64 = 32 << 20;

const HEAD: &str = "{\"evidence\":";
const DIGEST: &str = ",\"sha256\":\"";
const KEY: &str = "\",\"ed25519\":{\"publicKey\":\"";
const SIGNATURE: &str = "\",\"signature\":\"";
const TAIL: &str = "\"}\n";
const SIGNED_TAIL: &str = "\"}}\n";

/// A stored document, whose digest is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it says.
    pub evidence: Evidence,
    /// SHA-256 of the evidence's bytes, in hexadecimal.
    pub sha256: String,
    /// Whose signature it bears. It is right: a wrong one is an error.
    pub signature: Option<Signature>,
}

/// A signature that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The key that made it, as the document names it.
    pub key: PublicKey,
}

/// Why bytes are no evidence of ours.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The bytes are not those that were written.
    #[error("the report is damaged: {0}")]
    Damaged(&'static str),
    /// The signature is not that of the key which the document names.
    #[error("the report is forged or damaged: its signature by key {0} is wrong")]
    Signature(PublicKey),
    /// Signed, but by another key than is trusted.
    #[error("the report is signed by key {found}, and not by {wanted}, which is trusted")]
    OtherKey {
        /// The key that signed.
        found: PublicKey,
        /// The key that should have.
        wanted: PublicKey,
    },
    /// Not signed, and a key was given that should have signed it.
    #[error("the report is not signed, and should be by key {0}")]
    Unsigned(PublicKey),
    /// Written by a newer program, or something else altogether.
    #[error("the report has the form {found:?}, and this program reads {FORMAT:?}")]
    Form {
        /// What it calls its form.
        found: String,
    },
    /// The digest is right, but it does not follow the form that it claims.
    #[error("the report does not follow its form")]
    Malformed(#[source] serde_json::Error),
    /// It says something else than its checks come to.
    #[error("the report contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// All that is read before the form is known.
#[derive(serde::Deserialize)]
struct Form {
    format: String,
}

impl Evidence {
    /// The document to store.
    #[must_use]
    pub fn encode(&self, key: Option<&SigningKey>) -> Vec<u8> {
        // Maps with text keys and plain values: this cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        let digest = hex::encode(&Sha256::digest(&json));
        let mut text = format!("{HEAD}{json}{DIGEST}{digest}");
        match key {
            None => text.push_str(TAIL),
            Some(key) => {
                let signature = hex::encode(&key.sign(json.as_bytes()));
                let public = key.public();
                text.push_str(&format!("{KEY}{public}{SIGNATURE}{signature}{SIGNED_TAIL}"));
            }
        }
        text.into_bytes()
    }
}

impl Document {
    /// Reads a stored document and checks its digest and, when it bears one, its signature.
    ///
    /// # Errors
    /// Anything but the bytes that were written.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReportError> {
        let damaged = ReportError::Damaged;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        let framed = "it does not begin and end like one";
        let rest = text.strip_prefix(HEAD).ok_or(damaged(framed))?;
        // From the end: the evidence may hold any text.
        let (json, digest, signature) = match rest.strip_suffix(SIGNED_TAIL) {
            Some(rest) => {
                let (rest, signature) = cut(rest, 128).ok_or(damaged(framed))?;
                let rest = rest.strip_suffix(SIGNATURE).ok_or(damaged(framed))?;
                let (rest, key) = cut(rest, 64).ok_or(damaged(framed))?;
                let rest = rest.strip_suffix(KEY).ok_or(damaged(framed))?;
                let (rest, digest) = cut(rest, 64).ok_or(damaged(framed))?;
                (rest, digest, Some((key, signature)))
            }
            None => {
                let rest = rest.strip_suffix(TAIL).ok_or(damaged(framed))?;
                let (rest, digest) = cut(rest, 64).ok_or(damaged(framed))?;
                (rest, digest, None)
            }
        };
        let json = json.strip_suffix(DIGEST).ok_or(damaged(framed))?;
        if hex::encode(&Sha256::digest(json)) != digest {
            return Err(damaged("its content does not match its digest"));
        }
        let signature = match signature {
            Some((key, signature)) => {
                let key = PublicKey::from_hex(key).ok_or(damaged("its key is none"))?;
                let bytes = decode(signature).ok_or(damaged("its signature is none"))?;
                if !key.verifies(json.as_bytes(), &bytes) {
                    return Err(ReportError::Signature(key));
                }
                Some(Signature { key })
            }
            None => None,
        };
        let form: Form = serde_json::from_str(json).map_err(ReportError::Malformed)?;
        if form.format != FORMAT {
            return Err(ReportError::Form { found: form.format });
        }
        let evidence: Evidence = serde_json::from_str(json).map_err(ReportError::Malformed)?;
        if evidence.verdict != Evidence::judge(&evidence.checks) {
            return Err(ReportError::Contradiction("its verdict is not what its checks come to"));
        }
        Ok(Self { evidence, sha256: digest.to_owned(), signature })
    }

    /// Checks that `trusted` signed it.
    ///
    /// # Errors
    /// When another key did, or none.
    pub fn signed_by(&self, trusted: PublicKey) -> Result<(), ReportError> {
        match self.signature {
            Some(Signature { key }) if key == trusted => Ok(()),
            Some(Signature { key }) => Err(ReportError::OtherKey { found: key, wanted: trusted }),
            None => Err(ReportError::Unsigned(trusted)),
        }
    }
}

/// The last `length` bytes, and what is before them.
fn cut(text: &str, length: usize) -> Option<(&str, &str)> {
    text.len().checked_sub(length).and_then(|at| text.split_at_checked(at))
}
