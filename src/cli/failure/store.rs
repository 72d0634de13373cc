//! Faults of places that hold blobs, and of sources of images.

use super::{Failure, file, registry};
use crate::oci::narrow::NarrowError;
use crate::{sources, store};

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        of(&error).telling(&error)
    }
}

/// What follows from a fault of a store, without its words.
pub(super) fn of(error: &store::Error) -> Failure {
    const DAMAGE: &str = "bundle verify names all that is damaged; copy those files again from where they came, or name the folder of a second copy too";
    match error {
        store::Error::Io { path, source } => file::system(source, path),
        store::Error::Registry(error) => registry::of(error),
        store::Error::Missing { .. } => {
            Failure::refused("missing", "").hint("what it is read from is not whole; make or copy it again")
        }
        store::Error::Wrong { .. } => Failure::refused("wrong_digest", "")
            .hint("what came is not what was pinned: the source is damaged, or was changed after the lock"),
        store::Error::Malformed { .. } => {
            Failure::refused("malformed", "").hint("what it is read from is damaged; make or copy it again")
        }
        store::Error::Damaged { .. } | store::Error::Truncated { .. } => {
            Failure::refused("damage", "").hint(DAMAGE)
        }
        store::Error::NoVolume { .. } => Failure::refused("missing", "")
            .hint("copy the volume again from where it came: bundle verify names all that is missing"),
        store::Error::Gone { .. } => {
            Failure::world("medium_gone", "").hint("put it back and run the same command again; it goes on")
        }
        store::Error::Sealed { .. } => {
            Failure::usage("sealed", "").hint("give the identity it was granted to: --identity FILE")
        }
        store::Error::WrongKey { .. } => Failure::refused("wrong_key", "")
            .hint("grant and volumes are of different bundles; copy the whole folder again"),
        store::Error::Resealed { .. } => Failure::refused("resealed", "")
            .hint("a source changed while the build was interrupted; run the same command again"),
        store::Error::Disagrees { .. } => {
            Failure::refused("lock", "").hint("the lock was edited; make it anew: bundle lock")
        }
        store::Error::Seal(_) => Failure::world("seal", ""),
        store::Error::Interrupted => Failure::interrupted(""),
    }
}

/// What follows from a fault of a source of images, without its words.
pub(super) fn source(error: &sources::Error) -> Failure {
    match error {
        sources::Error::Store(error) => of(error),
        sources::Error::Chart(error) => super::chart::of(error),
        sources::Error::Plain(error) => plain(error),
        sources::Error::NoImage { .. } | sources::Error::Ambiguous { .. } => {
            Failure::usage("no_image", "").hint("name one of them after the path: oci:PATH:NAME")
        }
        sources::Error::Malformed { .. } => Failure::usage("source", "")
            .hint("oci: takes a folder with oci-layout and index.json, docker-archive: a tar of docker save"),
        sources::Error::Compressed { .. } => {
            Failure::usage("source", "").hint("uncompress it first (gunzip, zstd -d)")
        }
        sources::Error::Platforms(NarrowError::Missing { has, .. }) if !has.is_empty() => {
            let has: Vec<String> = has.iter().map(ToString::to_string).collect();
            Failure::usage("platforms", "").hint(format!(
                "narrow the image in release.yaml to platforms it has, of these: platforms: [{}]",
                has.join(", ")
            ))
        }
        sources::Error::Platforms(_) => Failure::usage("platforms", "")
            .hint("leave platforms: out for this image: it is then carried as it is"),
        sources::Error::Model(error) => super::model::of(error),
        sources::Error::Pinned { .. } | sources::Error::Wrong { .. } => Failure::refused("wrong_digest", "")
            .hint("what is there is not what was pinned; find out who changed it before pinning anew"),
        sources::Error::Referrer { .. } => Failure::refused("referrer", "")
            .hint("whoever signed or described the image must put that right in its registry; nothing that refers to an image is left out"),
        sources::Error::Unsigned { .. } => Failure::refused("unsigned", "")
            .hint("verify: asks for this signature; have the image signed by that key, or name the key that signed it"),
        sources::Error::Key { .. } => Failure::usage("key", "")
            .hint("cosign-key: takes a public key in PEM, as cosign writes cosign.pub"),
        sources::Error::Place { .. } => Failure::usage("source", "")
            .hint("use the version of the program that made the lock, or one after it"),
        sources::Error::Manifest { .. }
        | sources::Error::Config { .. }
        | sources::Error::TooLarge { .. }
        | sources::Error::Depth
        | sources::Error::TooMany
        | sources::Error::Text(_) => Failure::refused("manifest", "")
            .hint("the image is damaged, or of a kind that no registry takes; push it again"),
    }
}

fn plain(error: &sources::PlainError) -> Failure {
    use sources::PlainError as Plain;
    let usage = |hint: &str| Failure::usage("file", "").hint(hint);
    match error {
        Plain::Name { .. } => {
            usage("rename it; names are held to what FAT, exFAT, NTFS and ext4 can all store")
        }
        Plain::Irregular { .. } => {
            usage("a bundle holds ordinary files; take it away, or put an ordinary file in its place")
        }
        Plain::Empty { .. } => {
            usage("put the files there, or take the entry out; nothing is left out in silence")
        }
        Plain::TooMany { .. } => usage("join small files into an archive, and declare that"),
        Plain::TooLarge { .. } => usage(
            "cut it with split -b 4000M and declare the parts; or put it into an image, whose layers travel in the volumes at any size",
        ),
        Plain::Digest { .. } => Failure::refused("wrong_digest", "")
            .hint("find out why it is another one; then declare the SHA-256 of the one that is meant"),
        Plain::Address(_) => usage("from: is a path relative to release.yaml, or an https:// address"),
        Plain::NoClient(_) => Failure::world("file", ""),
    }
}
