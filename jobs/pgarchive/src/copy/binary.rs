//! Binary COPY: a header, rows of counted fields, a trailer.

use twox_hash::xxhash3_128::Hasher;

use super::{CopySummary, RowDigest};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const HEADER: usize = 19;
/// `MaxTupleAttributeNumber`: no row has more fields.
const MAX_FIELDS: i16 = 1664;
/// `MaxAllocSize`: no field is longer.
const MAX_FIELD: i32 = 0x3fff_ffff;
/// Flag bits from 16 up change how the data must be read.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

pub(super) struct BinaryRows {
    expect: Expect,
    /// The beginning of a header, count or length that the input has only some of yet.
    part: Vec<u8>,
    /// A row whose end has not come yet.
    begun: Option<(Hasher, u64)>,
    /// Fields in every row of the stream.
    fields: Option<i16>,
}

#[derive(Clone, Copy)]
enum Expect {
    Header,
    Extension { left: u32 },
    FieldCount,
    FieldLength { fields: i16 },
    Field { left: usize, fields: i16 },
    Nothing,
}

/// What stands at the beginning of a row.
enum Row {
    /// A row of so many bytes.
    Whole(usize),
    /// A row whose end is not there yet.
    Cut,
    Trailer,
}

impl Default for BinaryRows {
    fn default() -> Self {
        Self { expect: Expect::Header, part: Vec::new(), begun: None, fields: None }
    }
}

impl BinaryRows {
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        summary: &mut CopySummary,
    ) -> Result<(), &'static str> {
        loop {
            if matches!(self.expect, Expect::FieldCount) && self.begun.is_none() {
                bytes = self.whole_rows(bytes, summary)?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            bytes = self.step(bytes, summary)?;
        }
    }

    /// Walks all rows that `bytes` have whole. Gives what is behind them.
    fn whole_rows<'a>(
        &mut self,
        mut bytes: &'a [u8],
        summary: &mut CopySummary,
    ) -> Result<&'a [u8], &'static str> {
        loop {
            match self.measure(bytes)? {
                Row::Whole(length) => {
                    let (row, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
                    summary.add_row(length as u64, RowDigest::of_row(row));
                    bytes = rest;
                }
                Row::Trailer => {
                    self.expect = Expect::Nothing;
                    return Ok(bytes.get(2..).unwrap_or_default());
                }
                Row::Cut => {
                    // From here on piece by piece, until the row is over.
                    if !bytes.is_empty() {
                        self.begun = Some((Hasher::new(), 0));
                    }
                    return Ok(bytes);
                }
            }
        }
    }

    fn measure(&mut self, bytes: &[u8]) -> Result<Row, &'static str> {
        let Some((count, mut rest)) = bytes.split_first_chunk() else { return Ok(Row::Cut) };
        let Some(fields) = self.field_count(i16::from_be_bytes(*count))? else {
            return Ok(Row::Trailer);
        };
        for _ in 0..fields {
            let Some((length, behind)) = rest.split_first_chunk() else { return Ok(Row::Cut) };
            let Some(behind) = behind.get(field_length(i32::from_be_bytes(*length))?..) else {
                return Ok(Row::Cut);
            };
            rest = behind;
        }
        Ok(Row::Whole(bytes.len() - rest.len()))
    }

    /// Checks a field count. `None` is the trailer.
    fn field_count(&mut self, count: i16) -> Result<Option<i16>, &'static str> {
        match count {
            -1 => Ok(None),
            0..=MAX_FIELDS if *self.fields.get_or_insert(count) == count => Ok(Some(count)),
            0..=MAX_FIELDS => Err("the row has another number of fields than the first"),
            _ => Err("the number of fields is impossible"),
        }
    }

    /// Takes one header, count, length or piece of a field. Gives what is behind it.
    fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        summary: &mut CopySummary,
    ) -> Result<&'a [u8], &'static str> {
        match self.expect {
            Expect::Header => {
                if let Some((header, rest)) = self.part::<HEADER>(bytes) {
                    self.expect = after_header(&header)?;
                    return Ok(rest);
                }
                if !SIGNATURE.starts_with(self.part.get(..11).unwrap_or(&self.part)) {
                    return Err("the signature is missing");
                }
            }
            Expect::Extension { left } => {
                let taken = bytes.len().min(left as usize);
                // No more than `left`, which is a u32.
                let left = left - taken as u32;
                self.expect =
                    if left == 0 { Expect::FieldCount } else { Expect::Extension { left } };
                return Ok(bytes.get(taken..).unwrap_or_default());
            }
            Expect::FieldCount => {
                if let Some((count, rest)) = self.row_part::<2>(bytes) {
                    match self.field_count(i16::from_be_bytes(count))? {
                        Some(fields) => self.next_field(fields, summary),
                        None => {
                            self.begun = None;
                            self.expect = Expect::Nothing;
                        }
                    }
                    return Ok(rest);
                }
            }
            Expect::FieldLength { fields } => {
                if let Some((length, rest)) = self.row_part::<4>(bytes) {
                    match field_length(i32::from_be_bytes(length))? {
                        0 => self.next_field(fields, summary),
                        left => self.expect = Expect::Field { left, fields },
                    }
                    return Ok(rest);
                }
            }
            Expect::Field { left, fields } => {
                let (taken, rest) = bytes.split_at_checked(left).unwrap_or((bytes, &[]));
                self.hash(taken);
                match left - taken.len() {
                    0 => self.next_field(fields, summary),
                    left => self.expect = Expect::Field { left, fields },
                }
                return Ok(rest);
            }
            Expect::Nothing => return Err("data follows the trailer"),
        }
        Ok(&[])
    }

    /// Goes on to the next of `fields` fields, or ends the row.
    fn next_field(&mut self, fields: i16, summary: &mut CopySummary) {
        if fields > 0 {
            self.expect = Expect::FieldLength { fields: fields - 1 };
            return;
        }
        if let Some((hasher, length)) = self.begun.take() {
            summary.add_row(length, RowDigest::of_pieces(&hasher));
        }
        self.expect = Expect::FieldCount;
    }

    fn hash(&mut self, bytes: &[u8]) {
        if let Some((hasher, length)) = &mut self.begun {
            hasher.write(bytes);
            *length += bytes.len() as u64;
        }
    }

    /// The next `N` bytes, once they are all there, and what is behind them.
    fn part<'a, const N: usize>(&mut self, bytes: &'a [u8]) -> Option<([u8; N], &'a [u8])> {
        let missing = N.saturating_sub(self.part.len());
        let (taken, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.part.extend_from_slice(taken);
        let whole = <[u8; N]>::try_from(self.part.as_slice()).ok()?;
        self.part.clear();
        Some((whole, rest))
    }

    /// The same for a part of a row.
    fn row_part<'a, const N: usize>(&mut self, bytes: &'a [u8]) -> Option<([u8; N], &'a [u8])> {
        let (whole, rest) = self.part(bytes)?;
        self.hash(&whole);
        Some((whole, rest))
    }

    pub(super) fn finish(&self) -> Result<(), &'static str> {
        match self.expect {
            Expect::Nothing => Ok(()),
            Expect::Header | Expect::Extension { .. } => Err("the stream ends in its header"),
            Expect::FieldCount if self.part.is_empty() => Err("the trailer is missing"),
            _ => Err("the row has no end"),
        }
    }

    pub(super) fn saw_end(&self) -> bool {
        matches!(self.expect, Expect::Nothing)
    }
}

fn after_header(header: &[u8; HEADER]) -> Result<Expect, &'static str> {
    let malformed = "the header is malformed";
    let (signature, rest) = header.split_at_checked(SIGNATURE.len()).ok_or(malformed)?;
    if signature != SIGNATURE {
        return Err("the signature is missing");
    }
    let (flags, length) = rest.split_first_chunk::<4>().ok_or(malformed)?;
    if u32::from_be_bytes(*flags) & CRITICAL_FLAGS != 0 {
        return Err("the header has flags that are unknown");
    }
    let left = u32::from_be_bytes(length.try_into().map_err(|_| malformed)?);
    if i32::try_from(left).is_err() {
        return Err("the header's extension has a negative length");
    }
    Ok(if left == 0 { Expect::FieldCount } else { Expect::Extension { left } })
}

/// Bytes of a field; a NULL has none.
fn field_length(length: i32) -> Result<usize, &'static str> {
    match length {
        -1 => Ok(0),
        // Not negative.
        0..=MAX_FIELD => Ok(length as usize),
        _ => Err("the length of a field is impossible"),
    }
}
