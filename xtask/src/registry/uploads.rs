//! Upload sessions (distribution-spec §Pushing Blobs): POST, PATCH, PUT, GET, DELETE.
//!
//! A session keeps what it took in, also when the body broke off, and says so truly when asked.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::header::{CONTENT_RANGE, LOCATION, RANGE};
use hyper::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::Storage;
use super::connection::Call;
use super::content::Blob;
use super::reply::{Fail, Outcome, Reply, empty, error, name, refuse, set};
use super::route::{Route, valid_digest};
use super::server::Shared;

/// One session.
#[derive(Debug)]
pub(super) struct Upload {
    repository: String,
    length: u64,
    hasher: Sha256,
    held: Held,
    /// A chunk shorter than the announced minimum came in: only the end may follow.
    short: bool,
}

#[derive(Debug)]
enum Held {
    Memory(Vec<u8>),
    File { file: File, path: PathBuf },
    Nothing,
}

impl Upload {
    fn new(shared: &Shared, repository: &str, session: &str) -> Result<Self, Fail> {
        let held = match &shared.config.storage {
            Storage::Memory => Held::Memory(Vec::new()),
            Storage::Discard => Held::Nothing,
            Storage::Folder(folder) => {
                let path = folder.join(format!("upload-{session}"));
                Held::File { file: File::create(&path).map_err(|_| disk())?, path }
            }
        };
        Ok(Self { repository: repository.to_owned(), length: 0, hasher: Sha256::new(), held, short: false })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Fail> {
        match &mut self.held {
            Held::Nothing => {}
            Held::Memory(bytes) => {
                self.hasher.update(piece);
                bytes.extend_from_slice(piece);
            }
            Held::File { file, .. } => {
                self.hasher.update(piece);
                file.write_all(piece).map_err(|_| disk())?;
            }
        }
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Takes in the whole body; what came before a break stays.
    async fn fill(&mut self, call: &mut Call) -> Result<u64, Fail> {
        let before = self.length;
        if matches!(self.held, Held::Nothing) {
            call.intake.blank();
        }
        let outcome = loop {
            match call.intake.next().await {
                Ok(Some(piece)) => {
                    self.take(&piece)?;
                    // Counted as it comes: when a connection breaks, this may end at any await.
                    call.shared.stats().blob_received += piece.len() as u64;
                }
                Ok(None) => break Ok(()),
                Err(torn) => break Err(torn),
            }
        };
        outcome?;
        Ok(self.length - before)
    }

    /// Makes the session a blob, if it has the digest.
    fn finish(self, shared: &Shared, digest: &str) -> Result<(), Fail> {
        let Self { repository, length, hasher, held, .. } = self;
        let actual = format!("sha256:{}", hex::encode(hasher.finalize()));
        let wrong = actual != digest;
        let blob = match held {
            Held::Nothing => Blob::Discarded { length },
            Held::Memory(_) if wrong => return Err(mismatch()),
            Held::Memory(bytes) => Blob::Memory(bytes.into()),
            Held::File { path, .. } if wrong => {
                std::fs::remove_file(path).map_err(|_| disk())?;
                return Err(mismatch());
            }
            Held::File { path, .. } => {
                let to = path.with_file_name(digest.trim_start_matches("sha256:"));
                std::fs::rename(&path, &to).map_err(|_| disk())?;
                Blob::File { path: to, length }
            }
        };
        *shared.stats().received.entry(digest.to_owned()).or_default() += length;
        shared.content().put_blob(&repository, digest, blob);
        Ok(())
    }
}

fn disk() -> Fail {
    refuse(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", "the upload's file cannot be written")
}

fn mismatch() -> Fail {
    refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the content does not have the digest")
}

fn unknown() -> Fail {
    refuse(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "no such upload session")
}

/// The answer that tells where a session is and how much it has. For nothing it is `0-0`, as distribution says it.
fn standing(call: &Call, status: StatusCode, session: (&str, &Upload)) -> Reply {
    let (session, upload) = session;
    let mut reply = empty(status);
    let path = format!("/v2/{}/blobs/uploads/{session}?_state={}", upload.repository, upload.length);
    set(&mut reply, LOCATION, &call.location(&path));
    set(&mut reply, RANGE, &format!("0-{}", upload.length.saturating_sub(1)));
    set(&mut reply, name("docker-upload-uuid"), session);
    if let Some(least) = call.shared.config.chunk_min {
        set(&mut reply, name("oci-chunk-min-length"), &least.to_string());
    }
    reply
}

fn created(call: &Call, repository: &str, digest: &str) -> Reply {
    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, &call.location(&format!("/v2/{repository}/blobs/{digest}")));
    set(&mut reply, name("docker-content-digest"), digest);
    reply
}

/// `POST …/blobs/uploads/`: mount, take the whole blob, or open a session.
pub(super) async fn begin(call: &mut Call) -> Outcome {
    let Route::Uploads { repository } = call.route.clone() else { return Err(unknown()) };
    if call.parts.method != Method::POST {
        return Ok(error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "sessions are opened with POST"));
    }
    let shared = Arc::clone(&call.shared);
    if let (Some(digest), Some(from), true) =
        (call.query.one("mount"), call.query.one("from"), shared.config.mount)
    {
        let mut content = shared.content();
        if content.blob(from, digest).is_some() {
            content.link(&repository, digest);
            return Ok(created(call, &repository, digest));
        }
    }
    let session = format!("{:08x}-{}", shared.serial(), repository.len());
    let mut upload = Upload::new(&shared, &repository, &session)?;
    match call.query.one("digest").map(str::to_owned) {
        Some(digest) if shared.config.single_post => {
            if !valid_digest(&digest) {
                return Err(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a sha256 digest"));
            }
            upload.fill(call).await?;
            upload.finish(&shared, &digest)?;
            Ok(created(call, &repository, &digest))
        }
        _ => {
            let reply = standing(call, StatusCode::ACCEPTED, (&session, &upload));
            shared.uploads().insert(session, Arc::new(tokio::sync::Mutex::new(upload)));
            Ok(reply)
        }
    }
}

/// Everything else about one session.
pub(super) async fn proceed(call: &mut Call) -> Outcome {
    let Route::Upload { repository, session } = call.route.clone() else { return Err(unknown()) };
    let shared = Arc::clone(&call.shared);
    let found = shared.uploads().get(&session).map(Arc::clone).ok_or_else(unknown)?;
    let mut upload = found.lock().await;
    if upload.repository != repository {
        return Err(unknown());
    }
    match call.parts.method {
        Method::GET | Method::HEAD => Ok(standing(call, StatusCode::NO_CONTENT, (&session, &upload))),
        Method::DELETE => {
            shared.uploads().remove(&session);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::PATCH => patch(call, &session, &mut upload).await,
        Method::PUT => {
            let digest = call.query.one("digest").unwrap_or("").to_owned();
            if !valid_digest(&digest) {
                return Err(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "PUT names the digest"));
            }
            if let Some(reply) = misplaced(call, &session, &upload) {
                return Ok(reply);
            }
            upload.fill(call).await?;
            shared.uploads().remove(&session);
            let blank = Upload {
                repository: repository.clone(),
                length: 0,
                hasher: Sha256::new(),
                held: Held::Nothing,
                short: false,
            };
            std::mem::replace(&mut *upload, blank).finish(&shared, &digest)?;
            Ok(created(call, &repository, &digest))
        }
        _ => Ok(error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "not a method of sessions")),
    }
}

async fn patch(call: &mut Call, session: &str, upload: &mut Upload) -> Outcome {
    if let Some(reply) = misplaced(call, session, upload) {
        return Ok(reply);
    }
    if upload.short {
        let message = "a chunk below the minimum length was the last one";
        return Err(refuse(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message));
    }
    let announced = call.header(CONTENT_RANGE).and_then(content_range);
    if let Some((first, last)) = announced {
        call.intake.at_most(last - first + 1);
    }
    let taken = upload.fill(call).await?;
    if announced.is_some_and(|(first, last)| taken != last - first + 1) {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "SIZE_INVALID",
            "the body is not as long as Content-Range says",
        ));
    }
    upload.short = call.shared.config.chunk_min.is_some_and(|least| taken < least);
    Ok(standing(call, StatusCode::ACCEPTED, (session, upload)))
}

/// 416 when `Content-Range` does not begin where the session ends (distribution-spec §Pushing a blob in chunks).
fn misplaced(call: &Call, session: &str, upload: &Upload) -> Option<Reply> {
    let text = call.header(CONTENT_RANGE)?;
    let fits = content_range(text).is_some_and(|(first, _)| first == upload.length);
    (!fits).then(|| standing(call, StatusCode::RANGE_NOT_SATISFIABLE, (session, upload)))
}

/// `first-last`, as the distribution-spec writes it.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    let range = (first.parse().ok()?, last.parse::<u64>().ok()?);
    (range.0 <= range.1).then_some(range)
}
