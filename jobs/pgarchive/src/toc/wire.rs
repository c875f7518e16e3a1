//! The primitives of a table of contents: integers and strings (`WriteInt`, `WriteStr` in
//! `pg_backup_archiver.c`).

use crate::Error;

/// Bytes of an integer: one of sign, four of magnitude, least significant first.
pub(super) const INT: usize = 5;

/// Reads the primitives off a whole file in memory, and never past its end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Error> {
        let taken = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.get(..count))
            .ok_or(Error::TocTruncated { offset: self.bytes.len(), field })?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, Error> {
        match self.take(1, field)? {
            [byte] => Ok(*byte),
            _ => Err(Error::TocTruncated { offset: self.at, field }),
        }
    }

    pub(super) fn int(&mut self, field: &'static str) -> Result<i32, Error> {
        let offset = self.at;
        let damaged = |problem| Error::TocField { offset, field, problem };
        let [sign, a, b, c, d] = *self.take(INT, field)? else {
            return Err(damaged("is not an integer"));
        };
        let magnitude =
            i32::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| damaged("is too large"))?;
        match sign {
            0 => Ok(magnitude),
            1 if magnitude > 0 => Ok(-magnitude),
            _ => Err(damaged("has no valid sign")),
        }
    }

    /// A string, `None` where the archive has NULL.
    pub(super) fn string(&mut self, field: &'static str) -> Result<Option<String>, Error> {
        let offset = self.at;
        let damaged = |problem| Error::TocField { offset, field, problem };
        let length = self.int(field)?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| damaged("has a negative length"))?;
        // Taken from the input before anything is allocated: no length can ask for more.
        let bytes = self.take(length, field)?;
        if bytes.contains(&0) {
            return Err(damaged("contains a zero byte"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("is not UTF-8 text"))?;
        Ok(Some(text.to_owned()))
    }

    /// A string that is never NULL.
    pub(super) fn text(&mut self, field: &'static str) -> Result<String, Error> {
        let offset = self.at;
        self.string(field)?.ok_or(Error::TocField { offset, field, problem: "is missing" })
    }

    /// A decimal number written as a string, as OIDs and dependencies are.
    pub(super) fn number<N: std::str::FromStr>(
        &self,
        offset: usize,
        text: &str,
        field: &'static str,
    ) -> Result<N, Error> {
        let canonical = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        canonical.then(|| text.parse().ok()).flatten().ok_or(Error::TocField {
            offset,
            field,
            problem: "is not a number",
        })
    }
}

/// Appends an integer.
pub(super) fn put_int(out: &mut Vec<u8>, value: i32) {
    out.push(u8::from(value < 0));
    out.extend_from_slice(&value.unsigned_abs().to_le_bytes());
}

/// Appends a string. Fails with what is wrong with it.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) -> Result<(), &'static str> {
    if text.as_bytes().contains(&0) {
        return Err("contains a zero byte");
    }
    put_int(out, i32::try_from(text.len()).map_err(|_| "is longer than 2 GiB")?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends NULL.
pub(super) fn put_null(out: &mut Vec<u8>) {
    put_int(out, -1);
}
