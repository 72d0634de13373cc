//! JSON as Go's `encoding/json` writes it: fields in the order of the struct, maps sorted, `<`, `>`, `&` and the line separators
//! U+2028 and U+2029 escaped. Digests that Helm computes are over these very bytes.

use std::fmt::Write as _;

/// An object being written, its fields in the order of the calls.
pub(super) struct Object {
    text: String,
}

impl Object {
    pub(super) fn new() -> Self {
        Self { text: "{".to_owned() }
    }

    /// A field whose value is JSON already.
    pub(super) fn raw(mut self, name: &str, value: &str) -> Self {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        string(&mut self.text, name);
        self.text.push(':');
        self.text.push_str(value);
        self
    }

    /// A text, even an empty one.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        let value = quoted(value);
        self.raw(name, &value)
    }

    /// A text; left out when empty (`omitempty`).
    pub(super) fn text_or_none(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.text(name, value) }
    }

    /// A flag; left out when false (`omitempty`).
    pub(super) fn flag_or_none(self, name: &str, value: bool) -> Self {
        if value { self.raw(name, "true") } else { self }
    }

    /// A list of JSON values; left out when empty (`omitempty`).
    pub(super) fn list_or_none(self, name: &str, values: impl Iterator<Item = String>) -> Self {
        let values: Vec<String> = values.collect();
        if values.is_empty() { self } else { self.raw(name, &list(values.into_iter())) }
    }

    pub(super) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A list of JSON values.
pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    string(&mut out, text);
    out
}

/// Any value, its objects sorted.
pub(super) fn value(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::String(text) => quoted(text),
        Value::Array(values) => list(values.iter().map(self::value)),
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let object = names
                .into_iter()
                .fold(Object::new(), |object, name| object.raw(name, &self::value(&fields[name])));
            object.end()
        }
        other => other.to_string(),
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_go_escapes_them() {
        assert_eq!(quoted(">=1.0.0 <2 & \"x\"\\"), r#""\u003e=1.0.0 \u003c2 \u0026 \"x\"\\""#);
        assert_eq!(quoted("a\tb\nc\u{1}\u{2028}é"), r#""a\tb\nc\u0001\u2028é""#);
    }

    #[test]
    fn fields_keep_their_order_and_maps_are_sorted() {
        let object = Object::new().text("b", "").text_or_none("c", "").flag_or_none("d", true).text("a", "x");
        assert_eq!(object.end(), r#"{"b":"","d":true,"a":"x"}"#);
        let any = serde_json::json!({"z": [1, "<"], "a": null});
        assert_eq!(value(&any), r#"{"a":null,"z":[1,"\u003c"]}"#);
    }
}
