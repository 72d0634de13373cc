//! Words of a text that may be references, and how sure that is.
//!
//! A registry host written out, with a tag or a digest after it, is a reference wherever it stands. A digest is, too. Everything
//! else needs a witness: the name it is given to, the place it stands in, or that the release declares it.

use std::ops::Range;

use super::keys;
use crate::oci::{Reference, Repository};

/// How sure it is that a word is a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Only if the release declares it.
    Weak,
    /// It looks like one; a person should look.
    Possible,
    /// It is one.
    Certain,
}

/// What a word names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// An image. `bare`: it was written without tag and digest.
    Image {
        /// The reference.
        reference: Reference,
        /// Whether neither tag nor digest was written.
        bare: bool,
    },
    /// A repository to which something appends a tag.
    Repository(Repository),
    /// The beginning of a reference that is put together later.
    Fragment(String),
}

/// A word that may be a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its bytes in the text.
    pub range: Range<usize>,
    pub name: Name,
    pub certainty: Certainty,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around<'a> {
    /// The name the text is given to: a key, a variable, the flag before it.
    pub key: Option<&'a str>,
    /// It is the `image` of a container: an image whatever it looks like.
    pub container: bool,
    /// A command, an argument or a variable: programs read it, word by word.
    pub machine: bool,
    /// A text inside a text, where `image` may mean anything.
    pub nested: bool,
    /// A key, not a value.
    pub is_key: bool,
}

/// Characters that references are made of. `[` begins one only before an IPv6 address.
fn is_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@')
}

/// The words of `text` that may be references.
pub(super) fn find(text: &str, around: &Around<'_>, known_host: &dyn Fn(&str) -> bool) -> Vec<Word> {
    let mut found = Vec::new();
    let several = text.trim_end().contains('\n');
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begin = line.trim_start();
        if !(several && (begin.starts_with('#') || begin.starts_with("//") || begin.starts_with(';'))) {
            words_of(text, start..start + line.len(), around, known_host, &mut found);
        }
        start += line.len();
    }
    found
}

fn words_of(
    text: &str,
    line: Range<usize>,
    around: &Around<'_>,
    known_host: &dyn Fn(&str) -> bool,
    found: &mut Vec<Word>,
) {
    let bytes = text.as_bytes();
    let mut at = line.start;
    while at < line.end {
        let from = at;
        if bytes[at] == b'[' {
            at += address(&text[at..line.end]).max(1);
        }
        while at < line.end && is_part(bytes[at]) {
            at += 1;
        }
        if at == from {
            at += 1;
            continue;
        }
        if bytes[from] == b'[' && at == from + 1 {
            continue;
        }
        if let Some(word) = trimmed(text, from..at) {
            let word = Candidate { text, line: line.clone(), word, around, known_host }.judge();
            found.extend(word);
        }
    }
}

/// The length of `[…]` when it is an IPv6 address with something after it; 0 otherwise.
fn address(text: &str) -> usize {
    let Some(end) = text.find(']') else { return 0 };
    let inner = &text[1..end];
    let holds = inner.contains(':') && inner.parse::<std::net::Ipv6Addr>().is_ok();
    if holds && text[end + 1..].starts_with([':', '/']) { end + 1 } else { 0 }
}

const SCHEMES: [&str; 5] = ["docker", "docker-pullable", "oci", "docker-image", "cri-o"];

/// The word without the scheme before it and the punctuation after it; `None` for what no reference begins with.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let mut range = range;
    if let Some(at) = text[range.clone()].find("://") {
        if !SCHEMES.contains(&&text[range.start..range.start + at]) {
            return None;
        }
        range.start += at + 3;
    }
    while range.end > range.start
        && matches!(text.as_bytes()[range.end - 1], b'.' | b':' | b'/' | b'-' | b'@' | b'_')
    {
        range.end -= 1;
    }
    let first = *text.as_bytes().get(range.start)?;
    (!range.is_empty() && (first.is_ascii_alphanumeric() || first == b'[')).then_some(range)
}

struct Candidate<'a> {
    text: &'a str,
    line: Range<usize>,
    word: Range<usize>,
    around: &'a Around<'a>,
    known_host: &'a dyn Fn(&str) -> bool,
}

impl Candidate<'_> {
    fn judge(self) -> Option<Word> {
        let word = &self.text[self.word.clone()];
        // Cheap, and true of most words.
        if word.len() < 3 && !self.around.container {
            return None;
        }
        let key = self.key();
        let whole = self.text.trim() == word;
        let image_key = key.as_deref().is_some_and(keys::names_image);
        if !word.contains(['/', ':', '@']) && !image_key && !self.around.container {
            return None;
        }
        let reference: Reference = word.parse().ok()?;
        let (_, after) = word.split_once('/').unwrap_or(("", word));
        let (tagged, digested) =
            (after.contains(':') && reference.tag().is_some(), reference.digest().is_some());
        let bare = !tagged && !digested;
        let host = written_host(word).filter(|host| plausible(host, self.known_host));
        if let Some(name) = self.fragment(word, host) {
            return Some(self.word(name, Certainty::Possible));
        }
        let image = || Name::Image { reference: reference.clone(), bare };
        let repository = || Name::Repository(reference.repository().clone());
        if self.around.container && whole {
            return Some(self.word(image(), Certainty::Certain));
        }
        if digested {
            return Some(self.word(image(), Certainty::Certain));
        }
        if let Some(host) = host {
            if looks_like_something_else(&reference, tagged) {
                return None;
            }
            let base = key.as_deref().is_some_and(keys::names_repository);
            return Some(match (tagged, image_key, base) {
                (true, ..) | (_, true, false) => self.word(image(), Certainty::Certain),
                (_, _, true) => self.word(repository(), Certainty::Possible),
                _ if public(host) && reference.repository().path().contains('/') => {
                    self.word(repository(), Certainty::Possible)
                }
                _ => self.word(repository(), Certainty::Weak),
            });
        }
        if written_host(word).is_some() || self.around.is_key {
            return None;
        }
        let alone = whole || self.delimited();
        if tagged {
            let certainty = match () {
                () if image_key && alone => Certainty::Certain,
                () if !(alone || self.around.machine) => return None,
                () if alone && word.contains('/') && version_like(reference.tag()) => Certainty::Possible,
                () => Certainty::Weak,
            };
            return Some(self.word(image(), certainty));
        }
        if !image_key || !alone || is_no_name(word) {
            return None;
        }
        let exactly = self.around.key.is_some_and(|key| key.eq_ignore_ascii_case("image"))
            && whole
            && !self.around.nested;
        let certainty = if exactly { Certainty::Certain } else { Certainty::Possible };
        (exactly || !is_file(word)).then(|| self.word(image(), certainty))
    }

    fn word(&self, name: Name, certainty: Certainty) -> Word {
        Word { range: self.word.clone(), name, certainty }
    }

    /// The name the word is given to: in its own line (`key: word`, `"key": "word"`, `--key=word`, `--key word`), else the text's.
    fn key(&self) -> Option<String> {
        let before = &self.text[self.line.start..self.word.start];
        let quotes = ['"', '\'', '\\', '`'];
        let blank = |c: char| c == ' ' || c == '\t';
        let rest = before.trim_end_matches(quotes).trim_end_matches(blank);
        let name = |rest: &str| {
            let rest = rest.trim_end_matches(blank).trim_end_matches(quotes);
            let last =
                rest.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).next().unwrap_or("");
            Some(last.to_owned()).filter(|name| !name.is_empty())
        };
        if let Some(rest) = rest.strip_suffix([':', '=']) {
            return name(rest);
        }
        if rest.len() < before.len() {
            let flag = name(rest).filter(|name| name.starts_with('-'));
            if flag.is_some() {
                return flag;
            }
        }
        // A list of images: every word of it has the name of the list.
        let listed = rest.is_empty() || rest.ends_with([',', '-']) || before.ends_with(['=', ',', '"', '\'']);
        if listed || self.line.len() == self.text.len() && rest.is_empty() {
            return self.around.key.map(str::to_owned);
        }
        None
    }

    /// Whether it stands alone between quotes, commas, brackets, `key:` or `key=` and the end of the line: as a value, not in a sentence.
    fn delimited(&self) -> bool {
        let left = &self.text[self.line.start..self.word.start];
        let right = &self.text[self.word.end..self.line.end];
        let spaced = left.trim_end();
        let opens = match left.len() == spaced.len() {
            true => spaced.is_empty() || spaced.ends_with(['=', '"', '\'', '`', ',', '[', '(', '{', '\\']),
            false => {
                spaced.is_empty() || spaced.ends_with([':', '=', ',', '[']) || matches!(spaced, "-" | "FROM")
            }
        };
        let closed = right.trim_end_matches(['\n', '\r']);
        let next = closed.trim_start();
        let closes = next.is_empty()
            || closed.starts_with(['"', '\'', '`', ',', ']', ')', '}', ';', '\\'])
            || (next.len() < closed.len() && next.starts_with(['#', '}', ']']));
        opens && closes
    }

    /// A reference that goes on in a template or a variable.
    fn fragment(&self, word: &str, host: Option<&str>) -> Option<Name> {
        let next = self.text[self.word.end..self.line.end].trim_start_matches([':', '/', '@', '-', '.']);
        let goes_on = next.starts_with("{{")
            || next.starts_with("${")
            || next.starts_with("$(")
            || next.starts_with('%');
        let public = host.is_some_and(|host| public(host) || (self.known_host)(host));
        (goes_on && public).then(|| Name::Fragment(word.to_owned()))
    }
}

/// The part before the first `/` when it can be a registry's host.
pub(super) fn written_host(word: &str) -> Option<&str> {
    let (host, _) = word.split_once('/')?;
    (host.contains(['.', ':']) || host == "localhost").then_some(host)
}

/// Whether a host could serve images: has a port, is `localhost`, or ends like a domain; and is not one that everyone knows for
/// other things.
pub(super) fn plausible(host: &str, known_host: &dyn Fn(&str) -> bool) -> bool {
    if known_host(host) || host.starts_with('[') {
        return true;
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    if name == "localhost" || port.is_some() {
        return true;
    }
    let last = name.rsplit('.').next().unwrap_or("");
    let domain = last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
    let others = [
        "github.com",
        "kubernetes.io",
        "golang.org",
        "gopkg.in",
        "grafana.com",
        "helm.sh",
        "sigs.k8s.io",
        "githubusercontent.com",
    ];
    domain && !others.iter().any(|other| name == *other || name.ends_with(&format!(".{other}")))
}

/// Registries that everyone knows, and hosts that say they are one.
pub(super) fn public(host: &str) -> bool {
    const HOSTS: [&str; 17] = [
        "docker.io",
        "index.docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "registry.k8s.io",
        "k8s.gcr.io",
        "public.ecr.aws",
        "mcr.microsoft.com",
        "nvcr.io",
        "lscr.io",
        "cgr.dev",
        "icr.io",
        "docker.elastic.co",
        "registry.gitlab.com",
        "xpkg.upbound.io",
        "localhost",
    ];
    const ENDS: [&str; 5] = [".gcr.io", ".pkg.dev", ".azurecr.io", ".icr.io", ".amazonaws.com"];
    HOSTS.contains(&host)
        || ENDS.iter().any(|end| host.ends_with(end))
        || ["registry.", "docker.", "harbor.", "cr."].iter().any(|start| host.starts_with(start))
}

/// What has the form of a reference and is none: taints, API versions, lines of source files.
fn looks_like_something_else(reference: &Reference, tagged: bool) -> bool {
    let path = reference.repository().path();
    let tag = reference.tag().filter(|_| tagged);
    let version = path.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    let number = path.bytes().all(|b| b.is_ascii_digit());
    let source = [".go", ".py", ".js", ".rs", ".java", ".md", ".html"].iter().any(|end| path.ends_with(end));
    let taint = tag.is_some_and(|tag| ["NoSchedule", "NoExecute", "PreferNoSchedule"].contains(&tag));
    version || number || source || taint
}

fn version_like(tag: Option<&str>) -> bool {
    tag.is_some_and(|tag| {
        let rest = tag.strip_prefix('v').unwrap_or(tag);
        rest.starts_with(|c: char| c.is_ascii_digit()) && (rest.contains('.') || tag.starts_with('v'))
            || tag == "latest"
    })
}

/// Values that stand where a name could: switches and numbers.
fn is_no_name(word: &str) -> bool {
    ["true", "false", "null", "none", "yes", "no", "on", "off", "default", "auto"].contains(&word)
        || word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Pictures and disk images are images, too.
fn is_file(word: &str) -> bool {
    const ENDS: [&str; 12] =
        [".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp", ".ico", ".iso", ".qcow2", ".img", ".raw", ".tar"];
    ENDS.iter().any(|end| word.ends_with(end))
}
