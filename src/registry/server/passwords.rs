//! Who may in: a file as `htpasswd -B` writes it.
//!
//! Only bcrypt is taken. The other forms of that file are either no hashes or too cheap to try out, and a file half of whose users
//! cannot come in is a fault to be named, not to be found out by them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use tokio::sync::Semaphore;

use crate::digest::Digest;
use crate::limits;
use crate::sys::{fs, random};

/// Passwords tried at the same time: each takes a core for a while, and there are pulls to serve.
const TRIED: usize = 2;

/// The users of a file, and those of them whose password was seen to be right.
pub struct Passwords {
    inner: Arc<Inner>,
    tries: Semaphore,
}

struct Inner {
    users: HashMap<String, String>,
    /// Salted hashes of what was right: clients send it with each of thousands of requests, and bcrypt takes long on purpose.
    known: Mutex<HashSet<Digest>>,
    salt: [u8; 32],
    /// Tried for users that do not exist, so that those who do cannot be told by the time it takes.
    nobody: String,
}

/// Why a file of passwords is not one.
#[derive(Debug, thiserror::Error)]
pub enum PasswordsError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// There is nobody in it.
    #[error("{path} names no user", path = path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A line is not a user with a bcrypt hash.
    #[error("{path}, line {line}: {why}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it; says nothing of the hash.
        why: &'static str,
    },
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passwords({} users)", self.inner.users.len())
    }
}

impl Passwords {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, PasswordsError> {
        let bytes = fs::read_limited(path, limits::HAND_WRITTEN_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let users =
            parse(&text).map_err(|(line, why)| PasswordsError::Line { path: path.to_owned(), line, why })?;
        let Some(nobody) = users.values().next().cloned() else {
            return Err(PasswordsError::Empty { path: path.to_owned() });
        };
        let salt = *random::bytes::<32>().map_err(fs::Error::from)?;
        let inner = Inner { users, known: Mutex::default(), salt, nobody };
        Ok(Self { inner: Arc::new(inner), tries: Semaphore::new(TRIED) })
    }

    /// The user whose right password is in `header`, an `Authorization` of RFC 7617.
    pub(super) async fn check(&self, header: &str) -> Option<String> {
        let (user, password) = credentials(header)?;
        let mark = self.inner.mark(&user, &password);
        if self.inner.known().contains(&mark) {
            return Some(user);
        }
        let permit = self.tries.acquire().await.ok()?;
        let inner = Arc::clone(&self.inner);
        let right = tokio::task::spawn_blocking(move || inner.right(&user, &password).then_some(user)).await;
        drop(permit);
        let user = right.ok()??;
        self.inner.known().insert(mark);
        Some(user)
    }
}

impl Inner {
    /// One entry for each user at most, because only what is right is kept.
    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, user: &str, password: &[u8]) -> Digest {
        let mut hasher = crate::digest::Hasher::new();
        hasher.update(&self.salt);
        hasher.update(user.as_bytes());
        hasher.update(b":");
        hasher.update(password);
        hasher.finish()
    }

    fn right(&self, user: &str, password: &[u8]) -> bool {
        let hash = self.users.get(user);
        let right = bcrypt::verify(password, hash.unwrap_or(&self.nobody)).unwrap_or(false);
        right && hash.is_some()
    }
}

/// User and password of a basic authorization.
fn credentials(header: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = STANDARD.decode(encoded.trim()).ok()?;
    let at = plain.iter().position(|b| *b == b':')?;
    Some((String::from_utf8(plain[..at].to_vec()).ok()?, plain[at + 1..].to_vec()))
}

/// The users of a file, or the first line that is wrong and why.
fn parse(text: &str) -> Result<HashMap<String, String>, (usize, &'static str)> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why| (number + 1, why);
        let (user, hash) = line.split_once(':').ok_or(wrong("it is not USER:HASH"))?;
        if user.is_empty() {
            return Err(wrong("it names no user"));
        }
        let parts: HashParts = hash.parse().map_err(|_| wrong("the hash is not bcrypt's ($2y$…)"))?;
        if parts.get_cost() > limits::BCRYPT_COST {
            return Err(wrong("the hash is so costly that nobody could wait for it"));
        }
        if users.insert(user.to_owned(), hash.to_owned()).is_some() {
            return Err(wrong("the user stands there twice"));
        }
    }
    Ok(users)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `htpasswd -nbB -C 4 robot 'correct horse'`
    const LINE: &str = "robot:$2y$04$2pV0mBfx0Hb0rPvuS9C9/.KN3bC2IzmzqcTcQ8gXXx8XkVRXvpSM6";

    #[test]
    fn lines_that_are_not_bcrypt_are_named() {
        let users = parse(&format!("# people\n\n{LINE}\n")).unwrap();
        assert_eq!(users.keys().collect::<Vec<_>>(), ["robot"]);
        for (text, line, why) in [
            ("robot:$apr1$abc$def\n".to_owned(), 1, "not bcrypt's"),
            (format!("{LINE}\nother:{{SHA}}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n"), 2, "not bcrypt's"),
            (format!("{LINE}\nother:plain\n"), 2, "not bcrypt's"),
            ("robot".to_owned(), 1, "not USER:HASH"),
            (format!(":{LINE}"), 1, "names no user"),
            (format!("{LINE}\n{LINE}"), 2, "twice"),
            (LINE.replace("$04$", "$31$"), 1, "costly"),
        ] {
            let (got, words) = parse(&text).unwrap_err();
            assert!(got == line && words.contains(why), "{text}: {got} {words}");
        }
    }

    #[test]
    fn basic_credentials_are_taken_apart() {
        let header = format!("Basic {}", STANDARD.encode("robot:a:b"));
        assert_eq!(credentials(&header), Some(("robot".into(), b"a:b".to_vec())));
        for bad in ["", "Basic", "Basic !", "Bearer abc", &format!("Basic {}", STANDARD.encode("robot"))] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }
}
