//! Scalars, strings, bytes, timestamps and durations in their JSON form.

use chrono::{DateTime, Datelike, Timelike};

use super::wire::{Reader, Value};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a quoted string; `"`, `\` and control characters are escaped, nothing else.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => 0,
            _ => continue,
        };
        out.extend_from_slice(bytes.get(done..i).unwrap_or_default());
        done = i + 1;
        out.push(b'\\');
        if short == 0 {
            out.extend_from_slice(b"u00");
            out.extend([byte >> 4, byte & 15].map(|n| HEX[usize::from(n)]));
        } else {
            out.push(short);
        }
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out.push(b'"');
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends quoted standard base64 with padding.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    base64_digits(bytes, out);
    out.push(b'"');
}

/// Appends standard base64 with padding. Pieces of three times so many bytes may follow each
/// other; only the last may be of another length.
pub(crate) fn base64_digits(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |n: u32| BASE64[(n & 63) as usize];
    let (triples, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in triples {
        let n = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
        out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)]);
    }
    match *rest {
        [a] => {
            let n = u32::from(a) << 16;
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), b'=', b'=']);
        }
        [a, b] => {
            let n = u32::from(a) << 16 | u32::from(b) << 8;
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), b'=']);
        }
        _ => {}
    }
}

/// Appends an integer's digits.
pub(super) fn integer(value: impl Into<i128>, out: &mut Vec<u8>) {
    let value: i128 = value.into();
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Appends a quoted integer, as JSON has 64-bit ones.
pub(super) fn quoted_integer(value: impl Into<i128>, out: &mut Vec<u8>) {
    out.push(b'"');
    integer(value, out);
    out.push(b'"');
}

/// Appends a floating-point number with the fewest digits that read back the same, given as
/// Rust's `{:e}` prints them.
pub(super) fn double(value: f64, exponent: bool, shortest: String, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"\"NaN\"");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
    if exponent && value != 0.0 {
        match shortest.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                out.extend_from_slice(format!("{digits}e+{exponent}").as_bytes());
            }
            _ => out.extend_from_slice(shortest.as_bytes()),
        }
    } else {
        out.extend_from_slice(plain_decimal(&shortest).as_bytes());
    }
}

/// `1.25e2` to `125`: the same digits without an exponent.
fn plain_decimal(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = whole.len() as i32 + exponent;
    let text = if point <= 0 {
        format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
    } else if point as usize >= digits.len() {
        format!("{digits}{}", "0".repeat(point as usize - digits.len()))
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{whole}.{fraction}")
    };
    format!("{sign}{text}")
}

/// Seconds and nanoseconds of a `Timestamp` or `Duration`.
pub(super) fn seconds_and_nanos(bytes: &[u8]) -> Result<(i64, i32), &'static str> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Value::Varint(v)) => seconds = v as i64,
            (2, Value::Varint(v)) => nanos = v as i32,
            _ => return Err("unexpected field in a time"),
        }
    }
    Ok((seconds, nanos))
}

/// Appends a quoted RFC 3339 time with 0, 3, 6 or 9 digits of a second; false when out of the
/// years 1 to 9999.
pub(super) fn timestamp(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> bool {
    let Ok(nanos) = u32::try_from(nanos) else { return false };
    let Some(time) = DateTime::from_timestamp(seconds, nanos).filter(|_| nanos < 1_000_000_000)
    else {
        return false;
    };
    if !(1..=9999).contains(&time.year()) {
        return false;
    }
    let text = format!(
        "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    out.extend_from_slice(text.as_bytes());
    fraction(nanos, out);
    out.extend_from_slice(b"Z\"");
    true
}

/// Appends a quoted duration such as `"1.500s"`; false when out of the range protobuf allows.
pub(super) fn duration(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> bool {
    const MAX_SECONDS: i64 = 315_576_000_000;
    let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if mixed || nanos.unsigned_abs() > 999_999_999 || seconds.unsigned_abs() > MAX_SECONDS as u64 {
        return false;
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(seconds.unsigned_abs().to_string().as_bytes());
    fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"s\"");
    true
}

fn fraction(nanos: u32, out: &mut Vec<u8>) {
    if nanos == 0 {
        return;
    }
    let digits = format!(".{nanos:09}");
    let digits = digits.strip_suffix("000").unwrap_or(&digits);
    let digits = digits.strip_suffix("000").unwrap_or(digits);
    out.extend_from_slice(digits.as_bytes());
}
