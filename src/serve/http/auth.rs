//! The bearer of the token.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Whether a request bears the token.
pub fn is_bearer(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, word)) if scheme.eq_ignore_ascii_case("bearer") => {
            same(word.trim(), token.expose())
        }
        _ => false,
    }
}

/// Compares in a time that tells neither where two texts differ nor how long the secret is: of
/// their digests every byte is looked at.
fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one.as_bytes()), Sha256::digest(other.as_bytes()));
    let differing = one.iter().zip(other.iter()).fold(0_u8, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bears(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        is_bearer(&headers, &Secret::new("correct horse battery"))
    }

    #[test]
    fn only_the_whole_token_of_a_bearer_counts() {
        assert!(bears("Bearer correct horse battery"));
        assert!(bears("bearer correct horse battery"));
        for wrong in [
            "Bearer",
            "Bearer ",
            "Bearer correct",
            "Bearer correct horse batter",
            "Basic correct horse battery",
            "Bearer correct horse battery!",
            "correct horse battery",
        ] {
            assert!(!bears(wrong), "{wrong}");
        }
        assert!(!is_bearer(&HeaderMap::new(), &Secret::new("x")));
    }
}
