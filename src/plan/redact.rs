//! Secrets, tokens, e-mail and IP addresses out of what leaves the customer's house: text in, text out, and a list of what was taken.
//!
//! An address becomes a pseudonym that is the same wherever it stands, so that support can follow it. Pseudonyms are made with a key that
//! stays with the customer: without it nobody can try all addresses there are until one fits. What is a secret by its name, its form, or
//! because the cluster keeps it as one, leaves no trace of itself. In doubt more is taken, not less.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::digest::Hasher;

mod scan;
#[cfg(test)]
mod tests;

/// What was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A value that the cluster keeps as a secret, or whose name says that it is one.
    Secret,
    /// A token, by its form.
    Token,
    /// A private key.
    PrivateKey,
    /// An e-mail address.
    Email,
    /// An IP address.
    Ip,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Token => "token",
            Self::PrivateKey => "private-key",
            Self::Email => "email",
            Self::Ip => "ip",
        }
    }
}

/// One thing that was taken out, by what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// What it was.
    pub kind: Kind,
    /// What stands in its place.
    pub mark: String,
    /// How often.
    pub count: u64,
    /// In which files.
    pub files: BTreeSet<String>,
}

/// Bytes of the key that pseudonyms are made with.
pub const KEY_BYTES: usize = 32;
/// Characters from which a value of the cluster's secrets is looked for: shorter ones are words that mean other things too.
const KNOWN: usize = 6;

/// Takes things out, and remembers what.
#[derive(Debug)]
pub struct Redactor {
    key: [u8; KEY_BYTES],
    /// Longest first, so that none leaves the rest of another.
    known: Vec<String>,
    keep: BTreeSet<Kind>,
    taken: BTreeMap<(Kind, String), (u64, BTreeSet<String>)>,
    file: String,
}

impl Redactor {
    /// One that makes pseudonyms with `key` and leaves what is in `keep`.
    #[must_use]
    pub fn new(key: [u8; KEY_BYTES], keep: BTreeSet<Kind>) -> Self {
        Self { key, known: Vec::new(), keep, taken: BTreeMap::new(), file: String::new() }
    }

    /// A value that is secret wherever it stands.
    pub fn know(&mut self, value: &str) {
        let value = value.trim();
        // A word of letters alone is a setting more often than a secret, and would be taken out of every sentence.
        let plain = value.len() < 12 && value.chars().all(|c| c.is_ascii_lowercase());
        if value.len() >= KNOWN && !plain && !self.known.iter().any(|known| known == value) {
            self.known.push(value.to_owned());
            self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// What follows belongs to this file.
    pub fn begin(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// Everything that was taken out, by kind and mark.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        let one = |((kind, mark), (count, files)): (&(Kind, String), &(u64, BTreeSet<String>))| Taken {
            kind: *kind,
            mark: mark.clone(),
            count: *count,
            files: files.clone(),
        };
        self.taken.iter().map(one).collect()
    }

    /// `text` without what must not leave.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for known in std::mem::take(&mut self.known) {
            if text.contains(&known) {
                let count = text.matches(&known).count();
                let mark = self.mark(Kind::Secret, "");
                (0..count).for_each(|_| drop(self.note(Kind::Secret, &mark)));
                text = text.replace(&known, &mark);
            }
            self.known.push(known);
        }
        scan::scan(self, &text)
    }

    /// A value without what must not leave: by the names of its fields, and in its texts.
    pub fn json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(all) => {
                // `["--password", "x"]`
                let mut after_secret = false;
                for item in all {
                    let named =
                        item.as_str().and_then(|text| text.strip_prefix("--")).is_some_and(is_secret_name);
                    match item {
                        Value::String(text) if after_secret => *text = self.take(Kind::Secret, ""),
                        item => self.json(item),
                    }
                    after_secret = named;
                }
            }
            Value::Object(fields) => {
                // What clients note for themselves: a second copy of everything, and no use to support.
                fields.remove("managedFields");
                fields.remove("kubectl.kubernetes.io/last-applied-configuration");
                // `{"name": "DB_PASSWORD", "value": "x"}`
                if fields.get("name").and_then(Value::as_str).is_some_and(is_secret_name)
                    && let Some(Value::String(text)) = fields.get_mut("value").filter(|value| *value != "")
                {
                    *text = self.take(Kind::Secret, "");
                }
                for (name, field) in fields {
                    match field {
                        Value::String(text) if is_secret_name(name) && !is_nothing(text) => {
                            *text = self.take(Kind::Secret, "");
                        }
                        field => self.json(field),
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes that `value` was taken out, and gives what stands in its place.
    fn take(&mut self, kind: Kind, value: &str) -> String {
        let mark = self.mark(kind, value);
        self.note(kind, &mark)
    }

    fn keeps(&self, kind: Kind) -> bool {
        self.keep.contains(&kind)
    }

    fn note(&mut self, kind: Kind, mark: &str) -> String {
        let (count, files) = self.taken.entry((kind, mark.to_owned())).or_default();
        *count += 1;
        files.insert(self.file.clone());
        mark.to_owned()
    }

    /// `[ip-1a2b3c4d]`; of secrets nothing that could be tried.
    fn mark(&self, kind: Kind, value: &str) -> String {
        if !matches!(kind, Kind::Email | Kind::Ip) {
            return format!("[{}]", kind.word());
        }
        let mut hasher = Hasher::new();
        for part in [&self.key[..], kind.word().as_bytes(), b"\0", value.to_ascii_lowercase().as_bytes()] {
            hasher.update(part);
        }
        let digest = hasher.finish().to_string();
        let hex = digest.rsplit(':').next().unwrap_or_default();
        format!("[{}-{}]", kind.word(), &hex[..8])
    }
}

/// Whether what has this name is a secret: `DB_PASSWORD`, `apiKey`, `--auth-token`; not `secretName`, `tokenPath`.
fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 11] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "accesskey",
        "privatekey",
        "credential",
        "authorization",
        "connectionstring",
    ];
    const OTHERS: [&str; 14] = [
        "name", "names", "ref", "path", "file", "dir", "mount", "tokens", "seconds", "enabled", "type",
        "policy", "version", "count",
    ];
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    plain.len() <= 64
        && WORDS.iter().any(|word| plain.contains(word))
        && !OTHERS.iter().any(|other| plain.ends_with(other))
}

/// Values that are none, or were taken out already.
fn is_nothing(text: &str) -> bool {
    matches!(
        text,
        "" | "true" | "false" | "null" | "none" | "nil" | "[secret]" | "[token]" | "<nil>" | "<none>"
    )
}
