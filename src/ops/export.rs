//! `bundle export`: the content in a form that other tools read.
//!
//! Every blob passes [`Checked`] on its way to disk. What is written lies under a temporary name until it is whole and synced; a killed
//! export goes on with the blobs it has.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use signing::KeyId;

use crate::bundle::index::Release;
use crate::bundle::tar;
use crate::digest::{Blob, Digest, Hasher};
use crate::oci::Platform;
use crate::ops::finding::Finding;
use crate::ops::transfer::{self, Checked};
use crate::ops::{manifests, open, unlock};
use crate::path::EntryPath;
use crate::plan::export::{self as plan, Archive, Content, ExportError, Form, Wanted, Written};
use crate::plan::payload::blob_name;
use crate::progress::{Event, ItemState, Observer, Silent};
use crate::store::ahead::Ahead;
use crate::store::{self, Pieces, Source as _};
use crate::sys::place::{Folder, LargeFile};
use crate::sys::{delivered, fs};

mod stream;

use stream::{Stream, Unpack, unpack};

/// What is asked for.
pub struct Request<'a> {
    /// The bundle, and who may open it.
    pub bundle: unlock::Request<'a>,
    /// The form that is written.
    pub form: Form,
    /// Where; nothing may be there.
    pub to: &'a Path,
    /// Names of images, charts or models; empty for all.
    pub names: &'a [String],
    /// The one platform that is wanted of each image.
    pub platform: Option<&'a Platform>,
}

/// What was written, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it was written.
    pub ok: bool,
    /// Of which release; `None` when the signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen; when one of them refuses, nothing was written.
    pub findings: Vec<Finding>,
    /// Where it is.
    pub to: String,
    /// What was written.
    pub written: Vec<Written>,
    /// What the form has no place for.
    pub left_out: Vec<String>,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle's content cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// Its manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
    /// There is no such export.
    #[error(transparent)]
    Plan(#[from] ExportError),
    /// The disk is too small.
    #[error("{folder} has {free} bytes free; {need} are needed", folder = folder.display())]
    NoRoom {
        /// Where it would go.
        folder: PathBuf,
        /// Bytes that are needed.
        need: u64,
        /// Bytes that are there.
        free: u64,
    },
    /// A file could not be written, or is there already.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A blob could not be read from the bundle.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A plain file of the bundle is not the one that was signed.
    #[error("{path} is not the file that was signed", path = path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A layer of a model is not a tar of plain files.
    #[error("layer {blob}: {why}")]
    Layer {
        /// Which.
        blob: Blob,
        /// What is wrong with it.
        why: String,
    },
}

/// Exports a bundle.
pub fn export(request: &Request<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let seen = unlock::authenticate(&request.bundle)?;
    let mut report = Report {
        ok: false,
        release: seen.release.clone(),
        signers: seen.signers.clone(),
        findings: seen.findings.clone(),
        to: request.to.display().to_string(),
        written: vec![],
        left_out: vec![],
        bytes: 0,
    };
    let Some(bundle) = &seen.bundle else { return Ok(report) };
    let index = bundle.index.get();
    unlock::stands_alone(index)?;
    let volumes = Arc::new(unlock::volumes(bundle, request.bundle.with)?);
    let manifests = manifests::read(index, &volumes)?;
    let wanted = Wanted { form: request.form, names: request.names, platform: request.platform };
    let mut plan = plan::plan(index, &manifests, wanted)?;
    let threads = crate::sys::cores();
    let writing = Writing { from: Ahead::new(volumes, threads), bundle, observer };
    writing.measure(&mut plan.files)?;
    report.bytes = plan.files.iter().map(|(_, content)| content.bytes()).sum();
    report.written = plan.written;
    report.left_out = plan.left_out;
    let items = plan.files.len() as u64;
    match (request.form, plan.files.first()) {
        (Form::DockerArchive, Some((_, Content::Archive(archive)))) => {
            let mut file = LargeFile::begin(request.to)?;
            room(request.to, report.bytes)?;
            observer.event(Event::Begin { verb: "export", bytes: report.bytes, items });
            writing.archive(archive, &mut file, request.to)?;
            file.publish()?;
        }
        _ => {
            let folder = Folder::begin(request.to)?;
            room(request.to, report.bytes.saturating_sub(folder.bytes()))?;
            observer.event(Event::Begin { verb: "export", bytes: report.bytes, items });
            writing.folder(&plan.files, &folder)?;
            folder.publish()?;
        }
    }
    observer.event(Event::End);
    report.ok = true;
    Ok(report)
}

/// Stops before the first byte when the disk is too small.
fn room(to: &Path, need: u64) -> Result<(), Error> {
    let folder = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let free = fs::free_bytes(folder)?;
    if free < need {
        return Err(Error::NoRoom { folder: folder.to_owned(), need, free });
    }
    Ok(())
}

struct Writing<'a> {
    from: Ahead,
    bundle: &'a open::Authenticated,
    observer: &'a dyn Observer,
}

impl Writing<'_> {
    fn folder(&self, files: &[(EntryPath, Content)], folder: &Folder) -> Result<(), Error> {
        let stop = AtomicBool::new(false);
        let failed = Mutex::new(None);
        let workers = crate::sys::cores();
        transfer::in_parallel(files.len(), workers, &stop, &|item| {
            let (path, content) = &files[item];
            let written = self.file(path, content, folder);
            let state = if written.is_ok() { ItemState::Done } else { ItemState::Failed };
            let (name, bytes) = (path.as_str(), content.bytes());
            self.observer.event(Event::Item { name, digest: None, bytes, state });
            if let Err(error) = written {
                stop.store(true, Ordering::Relaxed);
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert(error);
                }
            }
        });
        match failed.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, path: &EntryPath, content: &Content, folder: &Folder) -> Result<(), Error> {
        if let Content::Blob(blob) | Content::Delivered(blob) = content
            && folder.holds(path, blob)?
        {
            self.observer.event(Event::Advance { bytes: blob.size });
            return Ok(());
        }
        if let Content::Unpacked(blob) = content {
            return self.unpack_model(path, blob, folder);
        }
        let mut file = folder.file(path)?;
        let place = file.path().to_owned();
        let io = |source| fs::Error::Io { path: place.clone(), source };
        match content {
            Content::Bytes(bytes) => file.write_all(bytes).map_err(io)?,
            Content::Blob(blob) => self.blob(blob, &mut file, &place)?,
            Content::Archive(archive) => self.archive(archive, &mut file, &place)?,
            Content::Delivered(blob) => self.delivered(path, blob, &mut file, &place)?,
            Content::Unpacked(_) => {}
        }
        Ok(file.finish()?)
    }

    fn blob(&self, blob: &Blob, to: &mut dyn Write, path: &Path) -> Result<(), Error> {
        let place = self.from.volumes().whereabouts(&blob.digest);
        let checked = Checked::new(&self.from, &place, self.observer);
        let mut pieces = checked.open(blob, 0)?;
        while let Some(piece) = pieces.next()? {
            to.write_all(&piece).map_err(|source| fs::Error::Io { path: path.to_owned(), source })?;
        }
        Ok(())
    }

    fn archive(&self, archive: &Archive, to: &mut dyn Write, path: &Path) -> Result<(), Error> {
        const ZEROS: [u8; 1024] = [0; 1024];
        let io = |source| fs::Error::Io { path: path.to_owned(), source };
        let padding = |size: u64| &ZEROS[..crate::checked::small(tar::padding(size))];
        let manifest = &archive.manifest;
        let size = manifest.len() as u64;
        for bytes in [&tar::header("manifest.json", size)[..], manifest, padding(size)] {
            to.write_all(bytes).map_err(io)?;
        }
        for blob in &archive.blobs {
            to.write_all(&tar::header(&blob_name(&blob.digest), blob.size)).map_err(io)?;
            self.blob(blob, to, path)?;
            to.write_all(padding(blob.size)).map_err(io)?;
        }
        for (blob, size) in &archive.unpacked {
            to.write_all(&tar::header(&plan::layer_name(&blob.digest), *size)).map_err(io)?;
            let got = self.unpacked(blob, self.observer, path, &mut |bytes| to.write_all(bytes))?;
            // Read twice, the same both times, or the medium is failing.
            if got != *size {
                return Err(Error::Layer {
                    blob: *blob,
                    why: format!("{got} bytes unpacked, {size} before"),
                });
            }
            to.write_all(padding(*size)).map_err(io)?;
        }
        Ok(to.write_all(&ZEROS[..crate::checked::small(tar::END)]).map_err(io)?)
    }

    /// Finds out how large the layers are that archives hold unpacked: a tar says so before their first byte.
    fn measure(&self, files: &mut [(EntryPath, Content)]) -> Result<(), Error> {
        let mut known = HashMap::<Digest, u64>::new();
        for (path, content) in files {
            let Content::Archive(archive) = content else { continue };
            for (blob, size) in &mut archive.unpacked {
                *size = match known.get(&blob.digest) {
                    Some(size) => *size,
                    None => self.unpacked(blob, &Silent, Path::new(path.as_str()), &mut |_| Ok(()))?,
                };
                known.insert(blob.digest, *size);
            }
        }
        Ok(())
    }

    /// Unpacks a layer into `out`, which writes to `path`; gives how many bytes it had.
    fn unpacked(
        &self,
        blob: &Blob,
        observer: &dyn Observer,
        path: &Path,
        out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<u64, Error> {
        let place = self.from.volumes().whereabouts(&blob.digest);
        let checked = Checked::new(&self.from, &place, observer);
        let mut stream = Stream::new(checked.open(blob, 0)?);
        let mut bytes = 0;
        let done = unpack(&mut stream, &mut |piece| {
            bytes += piece.len() as u64;
            out(piece)
        });
        match (done, stream.fault.take()) {
            (_, Some(fault)) => Err(fault.into()),
            (Ok(()), None) => Ok(bytes),
            (Err(Unpack::Frame(why)), None) => {
                Err(Error::Layer { blob: *blob, why: crate::text::printable(&why, 200) })
            }
            (Err(Unpack::Out(source)), None) => Err(fs::Error::Io { path: path.to_owned(), source }.into()),
        }
    }

    fn delivered(&self, name: &EntryPath, blob: &Blob, to: &mut dyn Write, path: &Path) -> Result<(), Error> {
        let source_path = name.under(self.bundle.home());
        let mut source = delivered::open(self.bundle.home(), name)?.take(blob.size.saturating_add(1));
        let mut hasher = Hasher::new();
        let mut piece = vec![0; crate::checked::small(crate::limits::PIECE_BYTES)];
        loop {
            let read = source
                .read(&mut piece)
                .map_err(|source| fs::Error::Io { path: source_path.clone(), source })?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            to.write_all(&piece[..read]).map_err(|source| fs::Error::Io { path: path.to_owned(), source })?;
            self.observer.event(Event::Advance { bytes: read as u64 });
        }
        if hasher.finish_blob() == *blob { Ok(()) } else { Err(Error::Changed { path: source_path }) }
    }

    /// Writes the files of a layer below `path`. Its digest is known to hold only at its end, so no file gets its name before.
    fn unpack_model(&self, path: &EntryPath, blob: &Blob, folder: &Folder) -> Result<(), Error> {
        let bad = |why: String| Error::Layer { blob: *blob, why };
        let place = self.from.volumes().whereabouts(&blob.digest);
        let checked = Checked::new(&self.from, &place, self.observer);
        let mut stream = Stream::new(checked.open(blob, 0)?);
        let mut written = Vec::new();
        {
            let mut archive = ::tar::Archive::new(&mut stream);
            let entries = archive.entries().map_err(|error| bad(error.to_string()))?;
            for entry in entries {
                let mut entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        return Err(stream.fault.take().map_or_else(|| bad(error.to_string()), Error::Store));
                    }
                };
                let kind = entry.header().entry_type();
                if kind.is_dir() {
                    continue;
                }
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                if !kind.is_file() {
                    return Err(bad(format!("{} is no plain file", crate::text::printable(&name, 200))));
                }
                let name: EntryPath = format!("{path}/{name}")
                    .parse()
                    .map_err(|error: crate::path::PathError| bad(error.to_string()))?;
                let mut file = folder.file(&name)?;
                let target = file.path().to_owned();
                if let Err(source) = std::io::copy(&mut entry, &mut file) {
                    return Err(match stream.fault.take() {
                        Some(fault) => fault.into(),
                        None => fs::Error::Io { path: target, source }.into(),
                    });
                }
                written.push(file);
            }
        }
        // The tar may end before the blob does.
        while stream.pieces.next()?.is_some() {}
        written.into_iter().try_for_each(|file| Ok(file.finish()?))
    }
}
