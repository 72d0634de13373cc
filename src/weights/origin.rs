//! Where a model's files are read: `dir:PATH` or `hf://OWNER/NAME@COMMIT`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::text::printable;

/// A place a model is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelOrigin {
    /// A folder; a relative one is relative to `release.yaml`.
    Folder(PathBuf),
    /// A model repository of a hub that speaks Hugging Face's protocol, at a revision.
    Hub {
        /// Which repository.
        repo: Repo,
        /// As written; only a [`Commit`] can be locked.
        revision: String,
    },
}

/// A hub's model repository, `OWNER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repo(String);

/// A full commit hash: 40 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(String);

/// Why a text is not a [`ModelOrigin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" names no model: {why}")]
pub struct ModelOriginError {
    /// The text, made printable.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Repo {
    /// `OWNER/NAME`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Commit {
    /// `text` as a commit, when it is a full one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let holds = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        holds.then(|| Self(text.to_owned()))
    }

    /// 40 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hub's own rule for names (`huggingface_hub`, `validate_repo_id`): letters, digits, `-`, `_` and `.`, at most 96 in all.
fn is_repo(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("..")
            && !part.contains("--")
    };
    text.len() <= 96 && text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// A branch, a tag or a commit; `/` is left out, as it would have to be escaped.
fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !text.starts_with(['-', '.'])
}

impl FromStr for ModelOrigin {
    type Err = ModelOriginError;

    fn from_str(text: &str) -> Result<Self, ModelOriginError> {
        let fault = |why| ModelOriginError { text: printable(text, 200), why };
        if let Some(path) = text.strip_prefix("dir:") {
            return match path.is_empty() || path.starts_with("//") || path.chars().any(char::is_control) {
                true => Err(fault("dir: is followed by the path of a folder")),
                false => Ok(Self::Folder(PathBuf::from(path))),
            };
        }
        let Some(rest) = text.strip_prefix("hf://") else {
            return Err(fault("expected dir:PATH or hf://OWNER/NAME@COMMIT"));
        };
        let (repo, revision) = rest.split_once('@').ok_or_else(|| fault("it has no @COMMIT"))?;
        if !is_repo(repo) {
            return Err(fault("a repository is OWNER/NAME, of letters, digits, - _ and ."));
        }
        if !is_revision(revision) {
            return Err(fault("a commit is 40 hex digits"));
        }
        Ok(Self::Hub { repo: Repo(repo.to_owned()), revision: revision.to_owned() })
    }
}

impl fmt::Display for ModelOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "dir:{}", path.display()),
            Self::Hub { repo, revision } => write!(f, "hf://{repo}@{revision}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_printed_again() {
        let commit = "0".repeat(40);
        for text in [
            "dir:weights",
            "dir:/abs/weights",
            "hf://org/name.v2@main",
            &format!("hf://Org-1/n_a.me@{commit}"),
        ] {
            assert_eq!(text.parse::<ModelOrigin>().unwrap().to_string(), text);
        }
        assert!(Commit::new(&commit).is_some());
        assert!(Commit::new(&commit[1..]).is_none());
        assert!(Commit::new(&"A".repeat(40)).is_none());
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in [
            "",
            "dir:",
            "dir://x",
            "weights",
            "https://huggingface.co/a/b",
            "hf://a/b",
            "hf://a@x",
            "hf://a/b@",
            "hf://a/../b@x",
            "hf://a/b/c@x",
            "hf://a/b@x/y",
            "hf://a/b@../x",
            "hf://a/b@x?y",
            "hf://a/b%2f@x",
            "hf://a/..@x",
        ] {
            assert!(bad.parse::<ModelOrigin>().is_err(), "{bad}");
        }
    }
}
