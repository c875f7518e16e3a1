//! Which workflow ids and run ids a segment may hold, without looking into its index.
//!
//! A Bloom filter: it never says no to an id that is there, and says yes to one in a hundred
//! that are not. Stored as base64 of one byte, the number of probes, and the bits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Bits for each id, and probes: together one in a hundred is wrong.
const BITS_PER_ID: usize = 10;
const PROBES: u8 = 7;

/// Most probes accepted.
const MAX_PROBES: u8 = 16;

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("not a Bloom filter of ids: {problem}")]
pub struct BloomError {
    problem: &'static str,
    #[source]
    source: Option<base64::DecodeError>,
}

/// The filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bloom {
    probes: u8,
    bits: Vec<u8>,
}

impl Bloom {
    /// A filter of these ids, each by its [`hash`](Self::hash).
    pub fn new(mut ids: Vec<[u8; 16]>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let mut bits = vec![0_u8; (ids.len() * BITS_PER_ID).div_ceil(8).max(1)];
        for id in &ids {
            for (byte, mask) in places(*id, PROBES, bits.len()) {
                if let Some(byte) = bits.get_mut(byte) {
                    *byte |= mask;
                }
            }
        }
        Self { probes: PROBES, bits }
    }

    /// What a filter keeps of an id: the first half of its SHA-256.
    pub fn hash(id: &str) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::digest(id).into();
        std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default())
    }

    /// Whether the id may be there; false is certain.
    pub fn may_contain(&self, id: &str) -> bool {
        places(Self::hash(id), self.probes, self.bits.len())
            .all(|(byte, mask)| self.bits.get(byte).is_some_and(|bits| bits & mask != 0))
    }

    /// The filter as a manifest has it.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(self.bits.len() + 1);
        bytes.push(self.probes);
        bytes.extend_from_slice(&self.bits);
        STANDARD.encode(bytes)
    }

    /// The filter in a manifest.
    ///
    /// # Errors
    /// When it is not base64, or was made in a way that this program does not know.
    pub fn decode(text: &str) -> Result<Self, BloomError> {
        let bytes = STANDARD.decode(text).map_err(|source| BloomError {
            problem: "its base64 is damaged",
            source: Some(source),
        })?;
        match bytes.split_first() {
            Some((&probes @ 1..=MAX_PROBES, bits)) if !bits.is_empty() => {
                Ok(Self { probes, bits: bits.to_vec() })
            }
            _ => Err(BloomError { problem: "its first byte is unknown", source: None }),
        }
    }
}

/// The bits of an id, by double hashing: byte and mask.
fn places(id: [u8; 16], probes: u8, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let [a, b] = [id.first_chunk::<8>(), id.last_chunk::<8>()]
        .map(|half| half.map_or(0, |half| u64::from_le_bytes(*half)));
    let bits = bytes as u64 * 8;
    (0..u64::from(probes)).map(move |i| {
        let bit = a.wrapping_add(i.wrapping_mul(b | 1)) % bits;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_there_is_always_found_and_others_seldom() {
        let id = |n: u32| format!("workflow-{n}");
        let bloom = Bloom::new((0..5_000).map(|n| Bloom::hash(&id(n))).collect());
        let bloom = Bloom::decode(&bloom.encode()).unwrap();
        assert!((0..5_000).all(|n| bloom.may_contain(&id(n))));
        let wrong = (5_000..15_000).filter(|&n| bloom.may_contain(&id(n))).count();
        assert!(wrong < 150, "{wrong} of 10,000 are wrong");
        assert!(!Bloom::new(vec![]).may_contain("x"));
    }

    #[test]
    fn the_stored_form_stays_the_same() {
        let bloom = Bloom::new(vec![Bloom::hash("a"), Bloom::hash("b"), Bloom::hash("a")]);
        assert_eq!(bloom.encode(), "B+s1Ug==");
        for damaged in ["", "B", "Bw==", "AP8=", "Ef8=", "B+s1Ug=", "*/89fg=="] {
            assert!(Bloom::decode(damaged).is_err(), "{damaged}");
        }
    }
}
