//! The transcoder against prost-reflect, which decodes into messages and prints those.

use std::sync::LazyLock;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    SerializeOptions, Value,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use temporal::json::{Error, Schema, UnknownField, transcode};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin")).as_slice())
        .unwrap()
}

fn to_json(message: &str, bytes: &[u8]) -> Result<(String, Vec<UnknownField>), Error> {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::built_in().unwrap());
    let schema = &*SCHEMA;
    let (mut out, mut unknown) = (Vec::new(), Vec::new());
    transcode(schema, schema.message(message)?, bytes, &mut out, &mut unknown)?;
    Ok((String::from_utf8(out).unwrap(), unknown))
}

/// Types that JSON spells in a way of its own and no history contains.
fn unsupported(name: &str) -> bool {
    name.strip_prefix("google.protobuf.")
        .is_some_and(|n| !matches!(n, "Timestamp" | "Duration" | "Empty"))
}

fn random_message(
    descriptor: &MessageDescriptor,
    rng: &mut StdRng,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            message.set_field_by_name(
                "seconds",
                Value::I64(rng.random_range(-62_135_596_800..253_402_300_799)),
            );
            let nanos = [0, 5_000_000, 123_456_000, 999_999_999, 1][rng.random_range(0..5)];
            message.set_field_by_name("nanos", Value::I32(nanos));
            return message;
        }
        "google.protobuf.Duration" => {
            let sign = if rng.random() { 1 } else { -1 };
            message.set_field_by_name(
                "seconds",
                Value::I64(sign * rng.random_range(0..315_576_000_000)),
            );
            message.set_field_by_name(
                "nanos",
                Value::I32(sign as i32 * rng.random_range(0..1_000_000_000)),
            );
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        let chance = if depth > 6 { 0.0 } else { 0.5 / (1.0 + depth as f64 / 3.0) };
        if rng.random_bool(chance)
            && !matches!(field.kind(), Kind::Message(m) if unsupported(m.full_name()))
        {
            let value = random_field(&field, rng, depth);
            message.set_field(&field, value);
        }
    }
    message
}

fn random_field(field: &FieldDescriptor, rng: &mut StdRng, depth: usize) -> Value {
    let count = rng.random_range(0..3);
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { panic!("a map has entries") };
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let one = |rng: &mut StdRng| {
            let key = match random_value(&key, rng, depth + 1) {
                Value::String(s) => MapKey::String(s),
                Value::I32(n) => MapKey::I32(n),
                Value::I64(n) => MapKey::I64(n),
                Value::Bool(b) => MapKey::Bool(b),
                other => panic!("unexpected map key {other:?}"),
            };
            (key, random_value(&value, rng, depth + 1))
        };
        Value::Map((0..count).map(|_| one(rng)).collect())
    } else if field.is_list() {
        Value::List((0..count).map(|_| random_value(field, rng, depth)).collect())
    } else {
        random_value(field, rng, depth)
    }
}

fn random_value(field: &FieldDescriptor, rng: &mut StdRng, depth: usize) -> Value {
    let text = [
        "",
        "plain",
        "\"quoted\" \\ back",
        "\u{1}\u{8}\u{c}\n\r\t\u{7f}",
        "smile \u{1F600} <&>",
        "é",
    ];
    match field.kind() {
        Kind::Double => Value::F64([0.0, 1.5, -0.25, 1e300, 1e-9][rng.random_range(0..5)]),
        Kind::Float => Value::F32([0.0, 1.5, -0.25, 0.1][rng.random_range(0..4)]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(rng.random()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64([0, rng.random()][rng.random_range(0..2)])
        }
        Kind::Uint32 | Kind::Fixed32 => Value::U32(rng.random()),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(rng.random()),
        Kind::Bool => Value::Bool(rng.random()),
        Kind::String => Value::String(text[rng.random_range(0..text.len())].into()),
        Kind::Bytes => {
            let length = rng.random_range(0..9);
            Value::Bytes((0..length).map(|_| rng.random::<u8>()).collect::<Vec<_>>().into())
        }
        Kind::Enum(e) => {
            let numbers: Vec<i32> = e.values().map(|v| v.number()).chain([99_999]).collect();
            Value::EnumNumber(numbers[rng.random_range(0..numbers.len())])
        }
        Kind::Message(m) => Value::Message(random_message(&m, rng, depth + 1)),
    }
}

fn oracle(message: &DynamicMessage) -> serde_json::Value {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut out);
    message.serialize_with_options(&mut serializer, &SerializeOptions::new()).unwrap();
    numbers_as_floats(serde_json::from_slice(&out).unwrap())
}

/// `2.0` and `2` are one number, spelled `2` by Go and `2.0` by the oracle.
fn numbers_as_floats(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Number(n) => serde_json::json!(n.as_f64().unwrap()),
        Json::Array(items) => Json::Array(items.into_iter().map(numbers_as_floats).collect()),
        Json::Object(map) => {
            Json::Object(map.into_iter().map(|(k, v)| (k, numbers_as_floats(v))).collect())
        }
        other => other,
    }
}

#[test]
fn random_histories_print_as_the_oracle_prints_them() {
    let pool = pool();
    let mut rng = StdRng::seed_from_u64(7);
    let event = pool.get_message_by_name("temporal.api.history.v1.HistoryEvent").unwrap();
    for _ in 0..4_000 {
        let message = random_message(&event, &mut rng, 0);
        let (json, unknown) = to_json(event.full_name(), &message.encode_to_vec()).unwrap();
        assert_eq!(unknown, []);
        let ours = numbers_as_floats(serde_json::from_str(&json).unwrap());
        assert_eq!(ours, oracle(&message), "{json}");
    }
}

#[test]
fn every_message_type_of_the_api_prints_as_the_oracle_prints_it() {
    let pool = pool();
    let mut rng = StdRng::seed_from_u64(11);
    let mut tried = 0;
    for descriptor in pool.all_messages() {
        if descriptor.is_map_entry() || !descriptor.full_name().starts_with("temporal.api.") {
            continue;
        }
        let message = random_message(&descriptor, &mut rng, 2);
        let (json, _) = to_json(descriptor.full_name(), &message.encode_to_vec()).unwrap();
        assert_eq!(
            numbers_as_floats(serde_json::from_str(&json).unwrap()),
            oracle(&message),
            "{json}"
        );
        tried += 1;
    }
    assert!(tried > 500, "only {tried} message types");
}

#[test]
fn fields_print_in_declaration_order_whatever_the_wire_order() {
    // WorkflowExecution {workflow_id = 1, run_id = 2}, run id first on the wire.
    let bytes = [0x12, 1, b'r', 0x0a, 1, b'w'];
    let (json, _) = to_json("temporal.api.common.v1.WorkflowExecution", &bytes).unwrap();
    assert_eq!(json, r#"{"workflowId":"w","runId":"r"}"#);
}

#[test]
fn unknown_fields_are_named_once_each() {
    let bytes = [0x0a, 1, b'w', 0xf8, 0x3f, 1, 0xf8, 0x3f, 2];
    let (json, unknown) = to_json("temporal.api.common.v1.WorkflowExecution", &bytes).unwrap();
    assert_eq!(json, r#"{"workflowId":"w"}"#);
    let expected =
        UnknownField { message: "temporal.api.common.v1.WorkflowExecution".into(), number: 1023 };
    assert_eq!(unknown, [expected]);
}

#[test]
fn numbers_print_as_go_prints_them() {
    // ActivityOptions has none; RetryPolicy.backoff_coefficient = 2 is a double.
    let coefficient = |value: f64| {
        let mut bytes = vec![0x11];
        bytes.extend_from_slice(&value.to_le_bytes());
        to_json("temporal.api.common.v1.RetryPolicy", &bytes).unwrap().0
    };
    assert_eq!(coefficient(2.0), r#"{"backoffCoefficient":2}"#);
    assert_eq!(coefficient(1.5), r#"{"backoffCoefficient":1.5}"#);
    assert_eq!(coefficient(0.000_001), r#"{"backoffCoefficient":0.000001}"#);
    assert_eq!(coefficient(1e-7), r#"{"backoffCoefficient":1e-7}"#);
    assert_eq!(coefficient(1e21), r#"{"backoffCoefficient":1e+21}"#);
    assert_eq!(coefficient(-123.456), r#"{"backoffCoefficient":-123.456}"#);
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = StdRng::seed_from_u64(3);
    let schema = Schema::built_in().unwrap();
    let history = schema.message("temporal.api.history.v1.History").unwrap();
    let pool = pool();
    let event = pool.get_message_by_name("temporal.api.history.v1.History").unwrap();
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = random_message(&event, &mut rng, 0).encode_to_vec();
        for _ in 0..rng.random_range(1..4) {
            if !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
        }
        let (mut out, mut unknown) = (Vec::new(), Vec::new());
        refused +=
            usize::from(transcode(&schema, history, &bytes, &mut out, &mut unknown).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn endless_nesting_is_refused() {
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        // Failure.cause = 4
        let mut outer = vec![0x22];
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend_from_slice(&bytes);
        bytes = outer;
    }
    let refused = to_json("temporal.api.failure.v1.Failure", &bytes);
    assert!(matches!(refused, Err(Error::TooDeep { .. })), "{refused:?}");
}
