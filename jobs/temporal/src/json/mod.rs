//! Protobuf wire bytes to canonical proto3 JSON, without decoding into structs.
//!
//! The rules are those of "ProtoJSON" (<https://protobuf.dev/programming-guides/json/>), in the
//! choices that Go's `protojson` makes and `temporal workflow show -o json` therefore prints:
//! fields in declaration order, map keys sorted, enum values by name, 64-bit integers as
//! strings. Going straight from the wire is ten times faster than through structs, and
//! nothing is dropped on the way: fields that the descriptors do not know are counted and named.

mod message;
pub(crate) mod scalar;
mod table;
pub(crate) mod wire;

pub use table::{MessageId, Schema};

/// What could not be turned into JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no protobuf message.
    #[error("malformed protobuf in {message}: {what}")]
    Malformed {
        /// Full name of the message type.
        message: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A string field does not hold UTF-8.
    #[error("field {field} of {message} is not valid UTF-8")]
    Utf8 {
        /// Full name of the message type.
        message: String,
        /// Field name.
        field: String,
    },
    /// A message nests deeper than any real history.
    #[error("{message} nests more than {} messages deep", message::MAX_DEPTH)]
    TooDeep {
        /// Full name of the message type.
        message: String,
    },
    /// A timestamp or duration outside what JSON can express.
    #[error("{message} is out of range")]
    Range {
        /// Full name of the message type.
        message: String,
    },
    /// A well-known type with a JSON form of its own that no Temporal message uses.
    #[error("message type {message} has no supported JSON form")]
    Unsupported {
        /// Full name of the message type.
        message: String,
    },
    /// The schema knows no such message.
    #[error("message type {message} is unknown")]
    UnknownMessage {
        /// Full name asked for.
        message: String,
    },
}

/// A field on the wire that the descriptors do not know: a newer server's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownField {
    /// Full name of the message type it stood in.
    pub message: String,
    /// Field number.
    pub number: u32,
}

/// Appends the JSON form of `bytes`, a message of type `message`, to `out`. Unknown fields,
/// which JSON cannot carry, are added to `unknown`, each once: whoever calls must keep the
/// bytes another way or refuse.
pub fn transcode(
    schema: &Schema,
    message: MessageId,
    bytes: &[u8],
    out: &mut Vec<u8>,
    unknown: &mut Vec<UnknownField>,
) -> Result<(), Error> {
    message::Transcoder::new(schema, out, unknown).message(message, bytes, 0)
}
