//! JSON as RFC 8259 writes it, and nothing that two readers could take for two things: no member twice, no text that is
//! not Unicode, nothing behind the value, bounded depth. Time and space are linear in the text.

use std::iter::Peekable;
use std::str::Chars;

/// Objects within objects.
const DEPTH_MAX: usize = 16;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As written.
    Number(String),
    /// Text.
    String(String),
    /// List.
    Array(Vec<Value>),
    /// Members in their order; no name twice.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// A member of an object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(have, _)| have == name).map(|(_, value)| value),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// What a single value says, as text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::Array(_) | Self::Object(_) => None,
        }
    }
}

/// Reads one value that is all of `text`; `None` if that is not so.
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.chars().peekable() };
    let value = reader.value(0)?;
    reader.space();
    reader.rest.next().is_none().then_some(value)
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    /// The next character that is no space, if it is this one.
    fn takes(&mut self, wanted: char) -> bool {
        self.space();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match self.rest.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => self.string().map(Value::String),
            '-' | '0'..='9' => self.number(),
            't' => self.word("true", Value::Bool(true)),
            'f' => self.word("false", Value::Bool(false)),
            'n' => self.word("null", Value::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        word.chars().all(|c| self.rest.next_if_eq(&c).is_some()).then_some(value)
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.rest.next();
        let mut all = Vec::new();
        if self.takes(']') {
            return Some(Value::Array(all));
        }
        loop {
            all.push(self.value(depth + 1)?);
            if self.takes(']') {
                return Some(Value::Array(all));
            }
            self.takes(',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.rest.next();
        let mut members: Vec<(String, Value)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        if self.takes('}') {
            return Some(Value::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            if !names.insert(name.clone()) {
                return None;
            }
            self.takes(':').then_some(())?;
            members.push((name, self.value(depth + 1)?));
            if self.takes('}') {
                return Some(Value::Object(members));
            }
            self.takes(',').then_some(())?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let mut text = String::new();
        text.extend(self.rest.next_if_eq(&'-'));
        if let Some(zero) = self.rest.next_if_eq(&'0') {
            text.push(zero);
        } else {
            self.digits(&mut text)?;
        }
        if let Some(point) = self.rest.next_if_eq(&'.') {
            text.push(point);
            self.digits(&mut text)?;
        }
        if let Some(mark) = self.rest.next_if(|c| matches!(c, 'e' | 'E')) {
            text.push(mark);
            text.extend(self.rest.next_if(|c| matches!(c, '+' | '-')));
            self.digits(&mut text)?;
        }
        Some(Value::Number(text))
    }

    /// One digit at least.
    fn digits(&mut self, into: &mut String) -> Option<()> {
        let before = into.len();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            into.push(digit);
        }
        (into.len() > before).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.rest.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first);
                }
                self.rest.next_if_eq(&'\\')?;
                self.rest.next_if_eq(&'u')?;
                let second = self.hex()?;
                // Half a pair is no character.
                if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                    return None;
                }
                return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |value, _| Some(value << 4 | self.rest.next()?.to_digit(16)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_written() {
        let text = r#" {"a": [1, -0.5e+3, true, null], "é\u00e9\ud83d\ude00\n": "x", "o": {}} "#;
        let Some(Value::Object(members)) = parse(text) else { panic!("an object") };
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "éé😀\n", "o"]);
        let numbers =
            [Value::Number("1".into()), Value::Number("-0.5e+3".into()), Value::Bool(true), Value::Null];
        assert_eq!(members[0].1, Value::Array(numbers.into()));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            "{} {}",
            "{}x",
            "",
            "{",
            r#"{"a":1,}"#,
            "[1,]",
            "01",
            "1.",
            ".5",
            "+1",
            "NaN",
            "'a'",
            "\"\n\"",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#""\x""#,
            "tru",
            "// c\n1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(&format!("{}{}", "[".repeat(16), "]".repeat(16))).is_some());
        assert!(parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_none());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,64}") {
            let _ = parse(&text);
        }
    }
}
