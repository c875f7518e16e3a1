//! Descriptors, flattened into tables that the transcoder walks without look-ups by name.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::Error;

/// Index of a message type in a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub(super) usize);

/// The message types of Temporal's API.
#[derive(Debug)]
pub struct Schema {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<HashMap<i32, String>>,
    ids: HashMap<String, MessageId>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) form: Form,
    /// In declaration order, which is the order JSON has them in.
    pub(super) fields: Vec<Field>,
    /// Field number to index in `fields`, by number; `NONE` where there is no such field.
    by_number: Vec<u16>,
    /// Numbers too large for `by_number`.
    by_large_number: HashMap<u32, u16>,
}

const NONE: u16 = u16::MAX;
const DIRECT_NUMBERS: usize = 512;

/// How a message type prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Object,
    Timestamp,
    Duration,
    Unsupported,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// `"jsonName":`, ready to print.
    pub(super) label: Vec<u8>,
    pub(super) kind: FieldKind,
    pub(super) repeat: Repeat,
    /// Printed even when it holds its type's default.
    pub(super) presence: bool,
    /// Which oneof of the message it belongs to.
    pub(super) oneof: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Single,
    List,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(MessageId),
}

impl Schema {
    /// The schema this program was built with.
    pub fn built_in() -> Result<Self, Error> {
        let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
        let pool = DescriptorPool::decode(bytes)
            .map_err(|_| Error::UnknownMessage { message: "built-in descriptors".into() })?;
        Ok(Self::from_pool(&pool))
    }

    /// Flattens a pool of descriptors.
    pub fn from_pool(pool: &DescriptorPool) -> Self {
        let ids: HashMap<String, MessageId> = pool
            .all_messages()
            .enumerate()
            .map(|(i, message)| (message.full_name().to_owned(), MessageId(i)))
            .collect();
        let enum_ids: HashMap<String, usize> =
            pool.all_enums().enumerate().map(|(i, e)| (e.full_name().to_owned(), i)).collect();
        let enums = pool
            .all_enums()
            .map(|e| {
                let mut names = HashMap::new();
                for value in e.values() {
                    // An alias prints as the first name declared.
                    names.entry(value.number()).or_insert_with(|| value.name().to_owned());
                }
                names
            })
            .collect();
        let messages = pool.all_messages().map(|m| Message::new(&m, &ids, &enum_ids)).collect();
        Self { messages, enums, ids }
    }

    /// Looks a message type up by its full name, `temporal.api.history.v1.History`.
    pub fn message(&self, full_name: &str) -> Result<MessageId, Error> {
        self.ids
            .get(full_name)
            .copied()
            .ok_or_else(|| Error::UnknownMessage { message: full_name.to_owned() })
    }
}

impl Message {
    fn new(
        descriptor: &MessageDescriptor,
        ids: &HashMap<String, MessageId>,
        enum_ids: &HashMap<String, usize>,
    ) -> Self {
        let name = descriptor.full_name().to_owned();
        let form = match name.as_str() {
            "google.protobuf.Timestamp" => Form::Timestamp,
            "google.protobuf.Duration" => Form::Duration,
            "google.protobuf.Empty" => Form::Object,
            well_known if is_well_known(well_known) => Form::Unsupported,
            _ => Form::Object,
        };
        // `fields()` comes by number; JSON has them as declared.
        let declared = descriptor
            .descriptor_proto()
            .field
            .iter()
            .filter_map(|f| descriptor.get_field(u32::try_from(f.number()).ok()?));
        let fields: Vec<(u32, Field)> =
            declared.map(|f| (f.number(), Field::new(&f, descriptor, ids, enum_ids))).collect();
        let mut by_number = vec![NONE; DIRECT_NUMBERS];
        let mut by_large_number = HashMap::new();
        for (index, (number, _)) in fields.iter().enumerate() {
            let index = index as u16; // protoc refuses messages with more fields
            match by_number.get_mut(*number as usize) {
                Some(slot) => *slot = index,
                None => {
                    by_large_number.insert(*number, index);
                }
            }
        }
        Self {
            name,
            form,
            fields: fields.into_iter().map(|(_, f)| f).collect(),
            by_number,
            by_large_number,
        }
    }

    pub(super) fn index_of(&self, number: u32) -> Option<u16> {
        match self.by_number.get(number as usize) {
            Some(&NONE) => None,
            Some(&index) => Some(index),
            None => self.by_large_number.get(&number).copied(),
        }
    }
}

/// Types of `google.protobuf` whose JSON is not that of their fields.
fn is_well_known(name: &str) -> bool {
    name.strip_prefix("google.protobuf.").is_some_and(|short| {
        short.ends_with("Value") || matches!(short, "Any" | "Struct" | "FieldMask")
    })
}

impl Field {
    fn new(
        field: &FieldDescriptor,
        parent: &MessageDescriptor,
        ids: &HashMap<String, MessageId>,
        enum_ids: &HashMap<String, usize>,
    ) -> Self {
        let label = serde_json::to_string(field.json_name()).unwrap_or_default() + ":";
        let repeat = if field.is_map() {
            Repeat::Map
        } else if field.is_list() {
            Repeat::List
        } else {
            Repeat::Single
        };
        let oneof = field.containing_oneof().and_then(|one| {
            parent.oneofs().position(|o| o.full_name() == one.full_name()).map(|i| i as u16)
        });
        Self {
            name: field.name().to_owned(),
            label: label.into_bytes(),
            kind: FieldKind::new(&field.kind(), ids, enum_ids),
            repeat,
            presence: field.supports_presence(),
            oneof,
        }
    }
}

impl FieldKind {
    fn new(
        kind: &Kind,
        ids: &HashMap<String, MessageId>,
        enum_ids: &HashMap<String, usize>,
    ) -> Self {
        match kind {
            Kind::Double => Self::Double,
            Kind::Float => Self::Float,
            Kind::Int32 => Self::Int32,
            Kind::Int64 => Self::Int64,
            Kind::Uint32 => Self::Uint32,
            Kind::Uint64 => Self::Uint64,
            Kind::Sint32 => Self::Sint32,
            Kind::Sint64 => Self::Sint64,
            Kind::Fixed32 => Self::Fixed32,
            Kind::Fixed64 => Self::Fixed64,
            Kind::Sfixed32 => Self::Sfixed32,
            Kind::Sfixed64 => Self::Sfixed64,
            Kind::Bool => Self::Bool,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            // Every type a pool names is in the pool.
            Kind::Enum(e) => Self::Enum(enum_ids.get(e.full_name()).copied().unwrap_or(usize::MAX)),
            Kind::Message(m) => {
                Self::Message(ids.get(m.full_name()).copied().unwrap_or(MessageId(usize::MAX)))
            }
        }
    }
}
