//! JSON web tokens that a server with an authorizer takes or refuses.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::command::{find, output};
use crate::error::Error;
use crate::run::new_folder;

const KEY_ID: &str = "harness";

/// Who signs tokens, and where the server finds the public key. Files are removed with it.
#[derive(Debug)]
pub struct Tokens {
    openssl: PathBuf,
    folder: PathBuf,
}

impl Tokens {
    /// Makes a key.
    ///
    /// # Errors
    /// When OpenSSL is missing or fails.
    pub fn make() -> Result<Self, Error> {
        let openssl = find("openssl", "signing tokens", "apt-get install openssl")?;
        let tokens = Self { openssl, folder: new_folder("tokens")? };
        let key = tokens.key();
        let key = key.to_string_lossy();
        let make = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
        tokens.openssl(&[make.as_slice(), &[&key]].concat())?;
        let printed = tokens.openssl(&["rsa", "-in", &key, "-noout", "-modulus"])?;
        let digits = printed.trim().rsplit('=').next().unwrap_or_default();
        let modulus: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        // 65537 is what OpenSSL takes as the exponent.
        let public = json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID,
            "n": base64url(&modulus), "e": "AQAB",
        }]});
        let path = tokens.public_keys();
        fs::write(&path, format!("{public:#}\n"))
            .map_err(Error::io(format!("cannot write {}", path.display())))?;
        Ok(tokens)
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn public_keys(&self) -> PathBuf {
        self.folder.join("keys.json")
    }

    /// A token with these rights, such as `default:read`; it runs out at a time in seconds since
    /// 1970.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn sign(&self, rights: &[&str], expires: u64) -> Result<String, Error> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID });
        let claims = json!({ "sub": "harness", "permissions": rights, "exp": expires });
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let failed = || Error::io("cannot sign a token");
        let mut openssl = Command::new(&self.openssl)
            .args(["dgst", "-sha256", "-sign"])
            .arg(self.key())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed())?;
        if let Some(mut input) = openssl.stdin.take() {
            input.write_all(signed.as_bytes()).map_err(failed())?;
        }
        let done = openssl.wait_with_output().map_err(failed())?;
        if !done.status.success() {
            return Err(failed()(std::io::Error::other(format!("openssl: {}", done.status))));
        }
        Ok(format!("{signed}.{}", base64url(&done.stdout)))
    }

    /// The server's settings, for which these tokens count.
    pub(super) fn authorization(public_keys: &Path) -> Value {
        json!({
            "jwtKeyProvider": {
                "keySourceURIs": [format!("file://{}", public_keys.display())],
                "refreshInterval": "1m",
            },
            "permissionsClaimName": "permissions",
            "authorizer": "default",
            "claimMapper": "default",
        })
    }

    /// What a server's options must know.
    pub(super) fn for_server(&self) -> Result<Guarded, Error> {
        // Whoever runs the server may do everything, for longer than any test runs.
        let token = self.sign(&["temporal-system:admin"], 4_000_000_000)?;
        Ok(Guarded { public_keys: self.public_keys(), token })
    }

    fn openssl(&self, arguments: &[&str]) -> Result<String, Error> {
        output("making a key for tokens", Command::new(&self.openssl).args(arguments))
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let _ = crate::cache::remove_dir(&self.folder);
    }
}

/// A server that wants tokens.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    pub(super) public_keys: PathBuf,
    /// One with all rights.
    pub(super) token: String,
}

/// Base64 as tokens have it: `-` and `_`, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            let value = word >> (18 - 6 * digit) & 63;
            let _ = write!(text, "{}", char::from(DIGITS[value as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_tokens_has_no_padding() {
        assert_eq!(base64url(b"\xfb\xff\xfe"), "-__-");
        assert_eq!(base64url(b"ab"), "YWI");
        assert_eq!(base64url(b"a"), "YQ");
    }
}
