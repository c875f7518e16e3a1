//! A line as JSON, checked in pieces: its grammar, its last member, its events counted.
//!
//! A line may be far larger than what is held of it, so this reads byte by byte and keeps only
//! what it is inside of.

/// Deepest nesting accepted: three levels for each message that the transcoder accepts.
const MAX_DEPTH: usize = 1_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must follow.
    Value,
    /// After `[`: a value or `]`.
    First,
    /// After `{`: a label or `}`.
    FirstLabel,
    /// After a comma in an object: a label.
    Label,
    /// After a label.
    Colon,
    /// After a value: a comma or the end.
    After,
    /// In a string.
    Text {
        label: bool,
    },
    /// After a backslash; so many hexadecimal digits are left.
    Escape {
        label: bool,
        hex: u8,
    },
    Number(Number),
    /// In `true`, `false` or `null`: what is left of it.
    Word(&'static [u8]),
    /// The object is closed.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// The state of reading one line.
#[derive(Debug)]
pub(super) struct Scan {
    state: State,
    /// For each level, whether it is an object.
    levels: Vec<bool>,
    /// The label being read in the two outermost objects, as far as it matters.
    label: Vec<u8>,
    in_history: bool,
    in_events: bool,
    events: u64,
    utf8: Utf8,
}

impl Scan {
    pub(super) fn new() -> Self {
        Self {
            state: State::Value,
            levels: Vec::new(),
            label: Vec::new(),
            in_history: false,
            in_events: false,
            events: 0,
            utf8: Utf8::default(),
        }
    }

    /// The next piece of the line.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        self.utf8.feed(piece)?;
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            if let State::Text { label } = self.state {
                let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let (text, tail) = rest.split_at_checked(plain).unwrap_or_default();
                if text.iter().any(|&byte| byte < 0x20) {
                    return Err("has a control character in a string");
                }
                self.note(label, text);
                let Some((&end, tail)) = tail.split_first() else { return Ok(()) };
                rest = tail;
                self.state = match end {
                    b'"' if label => {
                        self.labelled()?;
                        State::Colon
                    }
                    b'"' => State::After,
                    _ => {
                        self.note(label, b"\\");
                        State::Escape { label, hex: 0 }
                    }
                };
                continue;
            }
            // A number ends with the byte behind it.
            if self.step(byte)? {
                rest = tail;
            }
        }
        Ok(())
    }

    /// How many events the history has, once the line is whole.
    pub(super) fn finish(self) -> Result<u64, &'static str> {
        if self.state != State::End {
            return Err("ends within its JSON");
        }
        self.utf8.finish()?;
        if !self.in_history || !self.in_events {
            return Err("has no history at its end");
        }
        Ok(self.events)
    }

    /// Keeps what matters of a label.
    fn note(&mut self, label: bool, text: &[u8]) {
        if label && self.levels.len() <= 2 && self.label.len() < 16 {
            self.label.extend(text.iter().take(16));
        }
    }

    /// A label is complete.
    fn labelled(&mut self) -> Result<(), &'static str> {
        match self.levels.len() {
            1 if self.in_history => return Err("has members behind its history"),
            1 => self.in_history = self.label == b"history",
            2 if self.in_history => {
                if self.in_events || self.label != b"events" {
                    return Err("has a history with other members than events");
                }
                self.in_events = true;
            }
            _ => {}
        }
        self.label.clear();
        Ok(())
    }

    /// Takes one byte outside of strings; false when it must be looked at again.
    fn step(&mut self, byte: u8) -> Result<bool, &'static str> {
        self.state = match (self.state, byte) {
            (State::First, b']') | (State::FirstLabel, b'}') => self.close()?,
            (State::Value | State::First, _) => self.value(byte)?,
            (State::FirstLabel | State::Label, b'"') => State::Text { label: true },
            (State::Colon, b':') => State::Value,
            (State::After, b',') => match self.levels.last() {
                Some(true) => State::Label,
                Some(false) => State::Value,
                None => return Err("goes on behind its JSON"),
            },
            (State::After, b'}') if self.levels.last() == Some(&true) => self.close()?,
            (State::After, b']') if self.levels.last() == Some(&false) => self.close()?,
            (State::Escape { label, hex: 0 }, b'u') => State::Escape { label, hex: 4 },
            (
                State::Escape { label, hex: 0 },
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            ) => {
                self.note(label, &[byte]);
                State::Text { label }
            }
            (State::Escape { label, hex: hex @ 1.. }, digit) if digit.is_ascii_hexdigit() => {
                match hex {
                    1 => State::Text { label },
                    _ => State::Escape { label, hex: hex - 1 },
                }
            }
            (State::Number(number), _) => match number.next(byte) {
                Some(next) => State::Number(next),
                None if number.may_end() => {
                    self.state = State::After;
                    return Ok(false);
                }
                None => return Err("has a number that is none"),
            },
            (State::Word([next, rest @ ..]), _) if *next == byte => match rest {
                [] => State::After,
                rest => State::Word(rest),
            },
            (State::End, _) => return Err("goes on behind its JSON"),
            _ => return Err("is no minified JSON"),
        };
        Ok(true)
    }

    fn value(&mut self, byte: u8) -> Result<State, &'static str> {
        let level = self.levels.len();
        if level == 0 && byte != b'{' {
            return Err("is no JSON object");
        }
        if self.in_history {
            match (level, byte) {
                (1 | 3, b'{') | (2, b'[') | (4.., _) => {}
                _ => return Err("has a history that is no list of events"),
            }
            self.events += u64::from(level == 3);
        }
        Ok(match byte {
            b'{' | b'[' => {
                if level >= MAX_DEPTH {
                    return Err("nests too deep");
                }
                self.levels.push(byte == b'{');
                if byte == b'{' { State::FirstLabel } else { State::First }
            }
            b'"' => State::Text { label: false },
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            b'n' => State::Word(b"ull"),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Whole),
            _ => return Err("is no minified JSON"),
        })
    }

    fn close(&mut self) -> Result<State, &'static str> {
        self.levels.pop();
        Ok(if self.levels.is_empty() { State::End } else { State::After })
    }
}

impl Number {
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

/// UTF-8 in pieces that may be cut within a character.
#[derive(Debug, Default)]
struct Utf8 {
    cut: Vec<u8>,
}

const NOT_UTF8: &str = "is not UTF-8";

impl Utf8 {
    fn feed(&mut self, mut piece: &[u8]) -> Result<(), &'static str> {
        while !self.cut.is_empty() {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.cut.push(byte);
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(error) if error.error_len().is_some() => return Err(NOT_UTF8),
                Err(_) => {}
            }
        }
        if let Err(error) = std::str::from_utf8(piece) {
            if error.error_len().is_some() {
                return Err(NOT_UTF8);
            }
            self.cut.extend_from_slice(piece.get(error.valid_up_to()..).unwrap_or_default());
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), &'static str> {
        if self.cut.is_empty() { Ok(()) } else { Err(NOT_UTF8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(line: &[u8], piece: usize) -> Result<u64, &'static str> {
        let mut scan = Scan::new();
        for piece in line.chunks(piece) {
            scan.feed(piece)?;
        }
        scan.finish()
    }

    #[test]
    fn a_line_is_read_the_same_in_any_pieces() {
        let good = r#"{"a":[1,-0.5,1e9,0,true,false,null,"x\"é\u00e9"],"b":{},"c":[],"history":{"events":[{"eventId":"1","x":[{}]},{}]}}"#;
        let bad = [
            r#"{"a":01,"history":{"events":[]}}"#,
            r#"{"a":1,}"#,
            r#"{"a" :1,"history":{"events":[]}}"#,
            r#"{"history":{"events":[]},"a":1}"#,
            r#"{"history":{"events":[1]}}"#,
            r#"{"history":{"events":{}}}"#,
            r#"{"history":{"events":[],"events":[]}}"#,
            r#"{"history":{}}"#,
            r#"{"history":[]}"#,
            r#"{"a":"history"}"#,
            r#"{"a":{"history":{"events":[{}]}}}"#,
            r#"{"history":{"events":[]}}}"#,
            r#"{"history":{"events":[]}"#,
            r#"{"a":"\x","history":{"events":[]}}"#,
            r#"{"a":tru,"history":{"events":[]}}"#,
            r#"{"a":[1},"history":{"events":[]}}"#,
            "[]",
            "",
        ];
        for piece in 1..40 {
            assert_eq!(scan(good.as_bytes(), piece), Ok(2));
            for bad in bad {
                assert!(scan(bad.as_bytes(), piece).is_err(), "{bad} in {piece}");
            }
        }
        let deep = format!("{{\"a\":{}", "[".repeat(MAX_DEPTH));
        assert_eq!(scan(deep.as_bytes(), 7), Err("nests too deep"));
        assert_eq!(scan(b"{\"a\":\"\xff\"", 3), Err(NOT_UTF8));
        assert_eq!(scan(b"{\"a\":\"\xc3\"", 7), Err(NOT_UTF8));
    }
}
