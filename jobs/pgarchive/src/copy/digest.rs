//! A digest of a table's rows that does not depend on their order.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use twox_hash::XxHash3_128;

use crate::Error;

/// What the text form begins with: the version of the digest.
const PREFIX: &str = "xxh3-128-sum:";

/// The sum, modulo 2^128, of the 128-bit XXH3 hashes of all rows.
///
/// The digests of a table's chunks add up to the digest of the table, in whatever order and
/// into however many chunks its rows fell. It finds rows that are lost, doubled or altered by
/// accident; it is no defence against somebody who wants two tables to have the same digest.
/// Digests compare only between streams of the same COPY format and session settings.
///
/// Its text form is `xxh3-128-sum:` and 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RowDigest(u128);

impl RowDigest {
    /// The digest of a single row.
    pub fn of_row(row: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(row))
    }

    /// The digest of a row that came in pieces.
    pub(super) fn of_pieces(hasher: &twox_hash::xxhash3_128::Hasher) -> Self {
        Self(hasher.finish_128())
    }
}

impl Add for RowDigest {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for RowDigest {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for RowDigest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:032x}", self.0)
    }
}

impl FromStr for RowDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix(PREFIX)
            .filter(|hex| {
                hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
            .and_then(|hex| u128::from_str_radix(hex, 16).ok())
            .map(Self)
            .ok_or_else(|| Error::DigestSyntax { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_fixed() {
        // XXH3_128bits("", seed 0) of the reference implementation.
        assert_eq!(
            RowDigest::of_row(b"").to_string(),
            "xxh3-128-sum:99aa06d3014798d86001c324468d497f"
        );
        assert_eq!(
            RowDigest::default().to_string(),
            "xxh3-128-sum:00000000000000000000000000000000"
        );
    }

    #[test]
    fn a_digest_reads_what_it_prints_and_nothing_else() {
        let digest = RowDigest::of_row(b"1\tone");
        assert_eq!(digest.to_string().parse::<RowDigest>().unwrap(), digest);
        for text in [
            "",
            "xxh3-128-sum:",
            "xxh3-128-sum:99aa06d3014798d86001c324468d497",
            "xxh3-128-sum:99AA06D3014798D86001C324468D497F",
            "xxh3-128-sum:+9aa06d3014798d86001c324468d497f",
            "xxh3-128-xor:99aa06d3014798d86001c324468d497f",
            "99aa06d3014798d86001c324468d497f",
        ] {
            assert!(text.parse::<RowDigest>().is_err(), "{text}");
        }
    }

    #[test]
    fn doubled_and_missing_rows_change_the_sum_and_order_does_not() {
        let [a, b] = [RowDigest::of_row(b"a"), RowDigest::of_row(b"b")];
        assert_eq!(a + b, b + a);
        assert_ne!(a + b, a + b + a);
        assert_ne!(a + a, RowDigest::default());
    }
}
