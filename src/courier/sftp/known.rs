//! Which keys a machine is known by: OpenSSH's `known_hosts` (sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`).
//!
//! Hashed names, patterns, negations and `@revoked` are understood. `@cert-authority` is not: a machine that shows a certificate is unknown.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PublicKey;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// Which of the files that were read, from 0.
    pub(super) file: usize,
    /// Which line, from 1.
    pub(super) line: usize,
}

/// One line that is about a machine.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: At,
    /// Whether the key must not be trusted any more.
    pub(super) revoked: bool,
    pub(super) key: PublicKey,
}

/// What follows for the key that a machine shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Known,
    Unknown,
    /// Known by another key; the line of the first.
    Changed(At),
    /// Revoked; the line that says so.
    Revoked(At),
}

/// The lines of `text`, which the file with this number holds, about the machine that is `known_as`.
pub(super) fn entries((file, text): (usize, &str), known_as: &str) -> Vec<Entry> {
    (1..).zip(text.lines()).filter_map(|(line, text)| entry(At { file, line }, text, known_as)).collect()
}

fn entry(at: At, text: &str, known_as: &str) -> Option<Entry> {
    let text = text.trim();
    if text.starts_with('#') {
        return None;
    }
    let (revoked, text) = match text.strip_prefix('@') {
        Some(marked) => (true, marked.strip_prefix("revoked")?.trim_start()),
        None => (false, text),
    };
    let (names, key) = text.split_once([' ', '\t'])?;
    if !matches(names, known_as) {
        return None;
    }
    let mut words = key.split_whitespace();
    let key = PublicKey::from_openssh(&format!("{} {}", words.next()?, words.next()?)).ok()?;
    Some(Entry { at, revoked, key })
}

/// Whether the machine is among `names`; one that is excluded is not.
fn matches(names: &str, known_as: &str) -> bool {
    let mut found = false;
    for name in names.split(',') {
        match name.strip_prefix('!') {
            Some(excluded) if is(excluded, known_as) => return false,
            Some(_) => {}
            None => found = found || is(name, known_as),
        }
    }
    found
}

fn is(name: &str, known_as: &str) -> bool {
    match name.strip_prefix("|1|") {
        Some(hashed) => is_hashed(hashed, known_as).unwrap_or(false),
        None => fits(name.to_ascii_lowercase().as_bytes(), known_as.as_bytes()),
    }
}

/// `salt|hash` in base64: HMAC-SHA1 of the name.
fn is_hashed(hashed: &str, known_as: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &STANDARD.decode(salt).ok()?);
    Some(hmac::verify(&key, known_as.as_bytes(), &STANDARD.decode(hash).ok()?).is_ok())
}

/// Whether `name` is what `pattern` says, where `*` is anything and `?` one character.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // The place after the last star, and how much of the name that star has taken: enough to go back to, whatever came before.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    (p, n) = (after, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// What follows for `key` from the lines about its machine.
pub(super) fn judge(entries: &[Entry], key: &PublicKey) -> Judgement {
    let same = |entry: &&Entry| entry.key.key_data() == key.key_data();
    if let Some(entry) = entries.iter().filter(|entry| entry.revoked).find(same) {
        return Judgement::Revoked(entry.at);
    }
    let mut trusted = entries.iter().filter(|entry| !entry.revoked).peekable();
    match trusted.peek().map(|entry| entry.at) {
        None => Judgement::Unknown,
        Some(_) if trusted.any(|entry| same(&entry)) => Judgement::Known,
        Some(at) => Judgement::Changed(at),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    #[test]
    fn machines_are_known_by_every_form_of_their_names() {
        let judged =
            |line: &str, host: &str| judge(&entries((1, line), host), &PublicKey::from_openssh(ONE).unwrap());
        let cases = [
            (format!("bastion {ONE} a comment"), "bastion", Judgement::Known),
            (format!("\n# note\nother,Bastion\t{ONE}"), "bastion", Judgement::Known),
            (format!("bastion {TWO}\nbastion {ONE}"), "bastion", Judgement::Known),
            (format!("[bastion]:2222 {ONE}"), "[bastion]:2222", Judgement::Known),
            (format!("*.example.com {ONE}"), "a.b.example.com", Judgement::Known),
            (format!("10.0.?.1* {ONE}"), "10.0.7.12", Judgement::Known),
            (format!("*.example.com,!b.example.com {ONE}"), "b.example.com", Judgement::Unknown),
            (format!("bastion {ONE}"), "[bastion]:2222", Judgement::Unknown),
            (format!("#bastion {ONE}"), "bastion", Judgement::Unknown),
            (format!("bastion2 {ONE}"), "bastion", Judgement::Unknown),
            (String::new(), "bastion", Judgement::Unknown),
            (format!("@cert-authority bastion {ONE}"), "bastion", Judgement::Unknown),
            (format!("\nbastion {TWO}"), "bastion", Judgement::Changed(At { file: 1, line: 2 })),
            (
                format!("bastion {ONE}\n@revoked * {ONE}"),
                "bastion",
                Judgement::Revoked(At { file: 1, line: 2 }),
            ),
            (format!("bastion {ONE}\n@revoked * {TWO}"), "bastion", Judgement::Known),
        ];
        for (line, host, judgement) in cases {
            assert_eq!(judged(&line, host), judgement, "{host} in {line}");
        }
        // As `ssh-keygen -H` writes example.com.
        let hashed = format!("|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= {TWO}");
        assert_eq!(entries((0, &hashed), "example.com").len(), 1);
        assert_eq!(entries((0, &hashed), "example.org").len(), 0);
        assert!(
            fits(b"a*b*c", b"axxbxbc") && !fits(b"a*b*c", b"axxbxb") && fits(b"**", b"") && !fits(b"?", b"")
        );
    }
}
