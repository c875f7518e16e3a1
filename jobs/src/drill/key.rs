//! Keys that sign evidence: Ed25519 in the PEM files that `openssl genpkey -algorithm ed25519`
//! and `openssl pkey -pubout` write (RFC 8410).

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use vault::hex;

use crate::Error;

/// What an Ed25519 public key begins with as `SubjectPublicKeyInfo`.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Longest key file that is read.
const MAX_BYTES: u64 = 16 * 1024;

/// A private key. Prints as the public one.
pub struct SigningKey(Ed25519KeyPair);

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl SigningKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`Error::Local`] for a file that cannot be read, [`Error::Refused`] for one that others may
    /// read or that holds no Ed25519 key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let local =
            |source| Error::Local { doing: "read the key in", path: path.to_owned(), source };
        let mode = std::fs::metadata(path).map_err(local)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Refused {
                what: format!("the key in {} can be read by other users", path.display()),
                hint: format!("chmod 600 {}", path.display()),
            });
        }
        let der = read_pem(path, "PRIVATE KEY")?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| no_key(path))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl PublicKey {
    /// Reads a public key, or takes the public half of a private one.
    ///
    /// # Errors
    /// As [`SigningKey::read`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        if text.contains("PRIVATE KEY") {
            return SigningKey::read(path).map(|key| key.public());
        }
        let der = read_pem(path, "PUBLIC KEY")?;
        let bytes = der.strip_prefix(&SPKI).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| no_key(path))
    }

    /// From 64 hexadecimal digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        decode(text).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }

    /// Whether `signature` is this key's of `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// Bytes from lower-case hexadecimal digits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn read_text(path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let local = |source| Error::Local { doing: "read the key in", path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(local)?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(local)?;
    Ok(text)
}

/// The one block of this kind in a PEM file (RFC 7468).
fn read_pem(path: &Path, label: &str) -> Result<Vec<u8>, Error> {
    let text = read_text(path)?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let block = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    let (block, _) = block.ok_or_else(|| no_key(path))?;
    let digits: String = block.split_whitespace().collect();
    STANDARD.decode(digits).map_err(|_| no_key(path))
}

fn no_key(path: &Path) -> Error {
    Error::Refused {
        what: format!("{} holds no Ed25519 key in PEM form", path.display()),
        hint: "make one with `openssl genpkey -algorithm ed25519 -out drill.key`, and its public \
               half with `openssl pkey -in drill.key -pubout -out drill.pub`"
            .into(),
    }
}
