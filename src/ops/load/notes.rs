//! Notes of upload sessions, so that a killed load goes on inside a large blob: one small file for each upload in progress, in the
//! user's state folder, mode 0600, because an upload's address lets whoever has it write to the upload.
//!
//! Notes are a convenience: one that cannot be read or written costs a repeated upload, never the load.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits;
use crate::oci::Repository;
use crate::registry::{Session, UploadNotes};
use crate::sys::fs;

/// Notes as files.
pub(super) struct Files {
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    repository: String,
    digest: Digest,
    location: String,
    started: i64,
}

impl Files {
    /// In `state`, the user's state folder; nowhere when there is none.
    pub(super) fn new(state: Option<&Path>) -> Self {
        Self { folder: state.map(|folder| folder.join("uploads")) }
    }

    fn path(&self, repository: &Repository, digest: &Digest) -> Option<PathBuf> {
        let name = Digest::of(format!("{repository}@{digest}").as_bytes()).hex();
        Some(self.folder.as_ref()?.join(format!("{name}.json")))
    }
}

impl UploadNotes for Files {
    fn find(&self, repository: &Repository, digest: &Digest) -> Option<Session> {
        let bytes = fs::read_limited(&self.path(repository, digest)?, limits::KEY_BYTES).ok()?;
        let note: Note = serde_json::from_slice(&bytes).ok()?;
        let same = note.repository == repository.to_string() && note.digest == *digest;
        same.then_some(Session { location: note.location, started: note.started })
    }

    fn save(&self, repository: &Repository, digest: &Digest, session: &Session) {
        let Some(path) = self.path(repository, digest) else { return };
        let note = Note {
            repository: repository.to_string(),
            digest: *digest,
            location: session.location.clone(),
            started: session.started,
        };
        if let Ok(text) = serde_json::to_vec(&note)
            && fs::private_folder_of(&path).is_ok()
        {
            let _ = fs::write(&path, &text, fs::PRIVATE);
        }
    }

    fn forget(&self, repository: &Repository, digest: &Digest) {
        if let Some(path) = self.path(repository, digest) {
            fs::forget(&path);
        }
    }
}
