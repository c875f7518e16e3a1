//! The protobuf wire format: tags, varints, lengths.

/// One field's value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Reads fields one after the other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's number and value.
    pub(crate) fn field(&mut self) -> Result<(u32, Value<'a>), &'static str> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "field number out of range")?;
        if number == 0 {
            return Err("field number zero");
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(self.fixed32()?),
            3 | 4 => return Err("groups are not supported"),
            _ => return Err("unknown wire type"),
        };
        Ok((number, value))
    }

    pub(super) fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            if i == 9 && byte > 1 {
                return Err("varint too long");
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err("varint cut short")
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, &'static str> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or("fixed64 cut short")?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, &'static str> {
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or("fixed32 cut short")?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*head))
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let length = usize::try_from(self.varint()?).map_err(|_| "length out of range")?;
        let (head, rest) =
            self.rest.split_at_checked(length).ok_or("field longer than its message")?;
        self.rest = rest;
        Ok(head)
    }
}
