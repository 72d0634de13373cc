//! The registry: asked whether it answers, then given a throw-away blob, which is taken away again.

use bytes::Bytes;

use crate::digest::{Blob, Digest};
use crate::oci::Repository;
use crate::plan::mapping::Mapping;
use crate::plan::preflight::{Fault, Probe, Registry, Style};
use crate::registry::{self, BlobPush, Client, NoNotes};
use crate::store::{self, Pieces, Source};
use crate::sys::random;

/// Bytes of the throw-away blob: more than the limits that proxies come with (nginx: 1 MiB), and a second on a slow line.
const BYTES: usize = 8 << 20;
/// Bytes of the piece that is tried.
const PIECE: usize = 64 << 10;

/// Finds out what the registry does with what a load sends.
pub(super) fn facts(mapping: &Mapping, mut repositories: Vec<Repository>, client: &Client) -> Registry {
    repositories.sort_by_key(|repository| repository.path().split('/').count());
    let shallow = repositories.first().cloned();
    let deep = repositories.pop();
    let place = deep.as_ref().map_or_else(|| mapping.registry().to_owned(), |deep| place(mapping, deep));
    let mut found = Registry { place, answers: Ok(()), probes: vec![] };
    if let Err(error) = client.ping(mapping.registry()) {
        found.answers = Err(told(&error));
        return found;
    }
    let Some(deep) = deep else { return found };
    let Ok(bytes) = content() else { return found };
    let probe = whole(&deep, &bytes, client);
    let refused = probe.taken.is_err();
    found.probes.push(probe);
    match shallow.filter(|shallow| refused && shallow.path() != deep.path()) {
        Some(shallow) => found.probes.push(whole(&shallow, &bytes, client)),
        None if !refused => found.probes.push(piece(&deep, &bytes.slice(..PIECE), client)),
        None => {}
    }
    found
}

/// The registry with what all names begin with.
fn place(mapping: &Mapping, deep: &Repository) -> String {
    let prefix = deep.path().split('/').next().unwrap_or_default();
    format!("{}/{prefix}", mapping.registry())
}

/// Bytes that no registry has: taken over from another repository, they would prove nothing.
fn content() -> Result<Bytes, random::RandomError> {
    let mut bytes = vec![0; BYTES];
    for (place, value) in bytes.iter_mut().zip(random::bytes::<64>()?.iter()) {
        *place = *value;
    }
    Ok(bytes.into())
}

fn whole(repository: &Repository, bytes: &Bytes, client: &Client) -> Probe {
    let (blob, memory) =
        (Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }, Memory(bytes.clone()));
    let push = BlobPush { repository, blob, from: &memory, mount_from: &[], notes: &NoNotes };
    let taken = client.push_blob(&push).map(drop).map_err(|error| match &error {
        store::Error::Registry(inner) => told(inner),
        other => (Fault::Other, other.to_string()),
    });
    let removed = match &taken {
        Ok(()) => client.delete_blob(repository, &blob.digest).map_err(|error| error.to_string()),
        Err(_) => Ok(()),
    };
    probe(repository, Style::Whole, (blob, taken, removed))
}

/// The upload is given up, so there is nothing to remove.
fn piece(repository: &Repository, bytes: &Bytes, client: &Client) -> Probe {
    let (blob, memory) =
        (Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }, Memory(bytes.clone()));
    let push = BlobPush { repository, blob, from: &memory, mount_from: &[], notes: &NoNotes };
    let taken = client.try_piece(&push, bytes).map_err(|error| told(&error));
    probe(repository, Style::Pieces, (blob, taken, Ok(())))
}

type Outcome = (Blob, Result<(), (Fault, String)>, Result<(), String>);

fn probe(repository: &Repository, style: Style, (blob, taken, removed): Outcome) -> Probe {
    Probe {
        repository: repository.to_string(),
        style,
        bytes: blob.size,
        digest: blob.digest.to_string(),
        taken,
        removed,
    }
}

/// The kind of a registry's fault, and its words.
fn told(error: &registry::Error) -> (Fault, String) {
    use registry::Error as E;
    let fault = match error {
        E::Unreachable { .. }
        | E::NoAddress { .. }
        | E::Broken { .. }
        | E::NoRegistry { .. }
        | E::Stalled { .. } => Fault::Unreachable,
        E::Tls { .. } | E::PlainHttpRefused { .. } => Fault::Tls,
        E::Unauthorized { .. } => Fault::Unauthorized,
        E::Denied { .. } => Fault::Denied,
        E::NotFound { .. } | E::Refused { status: 404, .. } => Fault::NotFound,
        E::Refused { status: 413, .. } => Fault::TooLarge,
        other if is_full(&other.to_string()) => Fault::Full,
        _ => Fault::Other,
    };
    (fault, error.to_string())
}

/// Whether a registry says that it has no room, or that this project has used up its share (Harbor: 412 and "quota"; 507 is Insufficient
/// Storage, RFC 4918).
fn is_full(said: &str) -> bool {
    let said = said.to_lowercase();
    ["quota", "no space left", "insufficient storage", "answered 507"]
        .iter()
        .any(|words| said.contains(words))
}

/// Bytes in memory as a source.
struct Memory(Bytes);

impl Source for Memory {
    fn open<'a>(&'a self, _: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        let from = usize::try_from(offset).map_or(self.0.len(), |at| at.min(self.0.len()));
        Ok(Box::new(Rest(self.0.slice(from..))))
    }
}

struct Rest(Bytes);

impl Pieces for Rest {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        let piece = self.0.split_to(self.0.len().min(1 << 20));
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::is_full;

    #[test]
    fn a_registry_without_room_is_known_by_what_it_says() {
        for (said, full) in [
            (
                "blob a: the registry answered 412: DENIED: adding 8 MiB of storage resource, which when updated to 9 MiB will exceed the configured upper limit (Quota)",
                true,
            ),
            ("blob a: the registry answered 500: write /data: no space left on device", true),
            ("blob a: the registry answered 507: ", true),
            ("blob a: the registry answered 500: UNKNOWN: unknown error", false),
        ] {
            assert_eq!(is_full(said), full, "{said}");
        }
    }
}
