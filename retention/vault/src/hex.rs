//! Digests as text: lower-case hexadecimal.

use std::fmt::Write;

/// Bytes as lower-case hexadecimal.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The SHA-256 that `text` spells in exactly 64 lower-case digits.
pub fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
    }
    Some(digest)
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_the_way_to_text_and_back() {
        let digest: [u8; 32] = std::array::from_fn(|i| (i * 37 + 5) as u8);
        assert_eq!(decode_sha256(&encode(&digest)), Some(digest));
    }

    #[test]
    fn upper_case_and_other_lengths_are_refused() {
        let text = encode(&[0xab; 32]);
        assert!(decode_sha256(&text.to_uppercase()).is_none());
        assert!(decode_sha256(&text[..62]).is_none());
        assert!(decode_sha256(&format!("{text}0")).is_none());
        assert!(decode_sha256(&format!("g{}", &text[1..])).is_none());
    }
}
