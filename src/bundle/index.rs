//! `bundle.json`: the signed table of contents.
//!
//! 02-format "Index". The text is canonical: keys sorted, no floats, LF, one trailing newline, one line for each blob so that it can be
//! read and compared with ordinary tools. Reading checks every claim that later arithmetic stands on; an [`Index`] that
//! exists is one whose blobs lie inside the payload, in order, without overlap.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::bundle::geometry::{Geometry, GeometryError};
use crate::bundle::parity::Shape;
use crate::bundle::{canonical, tar};
use crate::digest::{Blob, Digest, DigestError, bare_hex};
use crate::limits;
use crate::oci::{Reference, media};
use crate::path::EntryPath;
use crate::release::lock::Seal;
use crate::text::{is_printable, printable};

mod content;

pub use content::{
    IndexChart, IndexFile, IndexImage, IndexInstall, IndexLicense, IndexModel, IndexReferrer, IndexRequires,
    IndexSbom, IndexTool, IndexUpgrade, Root,
};

/// The version of the format this program writes, and the highest it reads.
pub const FORMAT: u64 = 1;
/// The first version of this program that reads [`FORMAT`].
pub const READER: &str = "0.1.0";

/// The table of contents. Field order is the sorted order of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// What an upgrade stands on; absent where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<IndexBase>,
    /// Every blob of the payload, in payload order.
    pub blobs: Vec<IndexBlob>,
    /// Every chart, in the order of the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<IndexChart>,
    /// Plain files of the folder, sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<IndexFile>,
    /// [`FORMAT`].
    pub format: u64,
    /// Every image, in the order of the release.
    pub images: Vec<IndexImage>,
    /// How it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<IndexInstall>,
    /// Whether it stands alone.
    pub kind: Kind,
    /// What licence an installation needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<IndexLicense>,
    /// SHA-256 of the `release.lock` it was built from.
    pub lock: Digest,
    /// Every model, in the order of the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<IndexModel>,
    /// What lost chunks of volumes are computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// The payload as a whole.
    pub payload: Payload,
    /// The first version of the program that reads this format.
    pub reader: semver::Version,
    /// What refers to images; each after what it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<IndexReferrer>,
    /// What is delivered.
    pub release: Release,
    /// Blobs that the base has and the payload has not, in the order they would have in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relied_on: Vec<IndexRelied>,
    /// Every SBOM among the blobs, image by image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<IndexSbom>,
    /// Programs for the operator's machine, sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<IndexTool>,
    /// Which installed versions it can replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<IndexUpgrade>,
    /// The volume files, in payload order.
    pub volumes: Vec<Volume>,
}

/// Whether a bundle stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It holds all it needs.
    Full,
    /// It holds what its base lacks.
    Upgrade,
}

/// What an upgrade stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexBase {
    /// Images of the base whose repositories the release does not use any more: a registry may hold relied-on blobs there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Reference>,
    /// SHA-256 of the base's `bundle.json`.
    pub index: Digest,
    /// The base's version.
    pub version: semver::Version,
}

/// A blob that the base has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexRelied {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexBlob {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its media type, where it was first met.
    pub media_type: String,
    /// Its first byte in the payload.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}

/// The payload as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of one chunk of a volume.
    pub chunk_bytes: u64,
    /// How its volumes are sealed.
    pub seal: Seal,
    /// Bytes of payload in every volume but the last.
    pub volume_bytes: u64,
}

/// What lost chunks of volumes are computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Bytes of one parity chunk.
    pub chunk_bytes: u64,
    /// How it is computed.
    pub scheme: Scheme,
    /// Parity chunks for a hundred chunks of volumes.
    pub share: u64,
    /// The parity volume files; their chunks have `chunk_bytes`.
    pub volumes: Vec<Volume>,
}

/// How parity is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// Reed-Solomon over words of 16 bits: [`parity`](crate::bundle::parity).
    #[serde(rename = "rs16")]
    Rs16,
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release's name.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Its version.
    pub version: semver::Version,
}

/// One volume file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of each chunk of the file, bare hex.
    #[serde(with = "hex_list")]
    pub chunks: Vec<Digest>,
    /// Its path in the folder.
    pub name: EntryPath,
    /// SHA-256 of the file, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
}

impl Volume {
    /// As a file of chunks of `step` bytes.
    fn chunked(&self, step: u64) -> Chunked<'_> {
        Chunked { name: &self.name, bytes: self.bytes, step, chunks: &self.chunks, sha256: self.sha256 }
    }
}

/// A file whose bytes are signed piece by piece, so that damage of it is named and mended by the piece.
#[derive(Debug, Clone, Copy)]
pub struct Chunked<'a> {
    /// Its path in the folder.
    pub name: &'a EntryPath,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of each of its chunks but the last.
    pub step: u64,
    /// SHA-256 of each chunk.
    pub chunks: &'a [Digest],
    /// SHA-256 of the file.
    pub sha256: Digest,
}

impl Chunked<'_> {
    /// The first byte of `chunk`, and one past its last.
    #[must_use]
    pub fn range(&self, chunk: u64) -> (u64, u64) {
        let from = chunk.saturating_mul(self.step).min(self.bytes);
        (from, from.saturating_add(self.step).min(self.bytes))
    }

    /// The lengths of its chunks.
    pub fn lengths(&self) -> impl Iterator<Item = u64> + use<> {
        let (bytes, step) = (self.bytes, self.step.max(1));
        (0..bytes.div_ceil(step)).map(move |chunk| step.min(bytes - chunk * step))
    }
}

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Larger than any real one.
    #[error("it is larger than {} bytes", limits::INDEX_BYTES)]
    TooLarge,
    /// Not JSON, or not of the shape.
    #[error("it is not an index: {0}")]
    Json(String),
    /// Written by a later program.
    #[error("it is format {format}; this program reads up to {FORMAT}, version {reader} and later read it")]
    Newer {
        /// Its format.
        format: u64,
        /// The program that reads it, as the index names it.
        reader: String,
    },
    /// The shape of the payload is impossible.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A claim contradicts another.
    #[error("{0}")]
    Contradiction(String),
}

/// The file name of volume `number` (from 0).
#[must_use]
pub fn volume_name(release: &Release, seal: Seal, number: usize) -> String {
    let suffix = match seal {
        Seal::Age => ".age",
        Seal::None => "",
    };
    format!("volumes/{}-{}.{:04}.tar{suffix}", release.name, release.version, number + 1)
}

/// The file name of parity volume `number` (from 0).
#[must_use]
pub fn parity_name(release: &Release, number: usize) -> String {
    format!("parity/{}-{}.{:04}.parity", release.name, release.version, number + 1)
}

impl Index {
    /// The canonical text.
    pub fn to_text(&self) -> Result<Vec<u8>, IndexError> {
        canonical::to_text(self).map_err(|e| IndexError::Json(printable(&e.to_string(), 300)))
    }

    /// Reads and checks an index. `bytes` are those whose hash `SHA256SUMS` names.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        if bytes.len() as u64 > limits::INDEX_BYTES {
            return Err(IndexError::TooLarge);
        }
        check_format(bytes)?;
        let index: Self =
            serde_json::from_slice(bytes).map_err(|e| IndexError::Json(printable(&e.to_string(), 300)))?;
        index.check()?;
        Ok(index)
    }

    /// The shape of the volumes.
    pub fn geometry(&self) -> Result<Geometry, IndexError> {
        Ok(Geometry::new(self.payload.seal, self.payload.bytes, self.payload.volume_bytes)?)
    }

    /// Every file that is signed piece by piece: the volumes, in payload order, then the parity volumes.
    #[must_use]
    pub fn chunked(&self) -> Vec<Chunked<'_>> {
        let volumes = self.volumes.iter().map(|volume| volume.chunked(limits::CHUNK_BYTES));
        let parity = self.parity.iter();
        let parity =
            parity.flat_map(|parity| parity.volumes.iter().map(|one| one.chunked(parity.chunk_bytes)));
        volumes.chain(parity).collect()
    }

    /// How the parity that the index names, if any, belongs to the chunks of its volumes.
    #[must_use]
    pub fn parity_shape(&self) -> Option<Shape> {
        let parity = self.parity.as_ref()?;
        let volumes = self.volumes.iter().map(|volume| volume.chunked(limits::CHUNK_BYTES));
        Shape::new(parity.share, volumes.flat_map(|file| file.lengths().collect::<Vec<_>>()))
    }

    /// The lengths of the parity volumes for `share`, given those of the volumes.
    #[must_use]
    pub fn parity_lengths(shape: &Shape, largest: u64) -> Vec<u64> {
        let (all, most) = (shape.rows(), shape.rows_of_volume(largest));
        (0..all.div_ceil(most)).map(|number| (all - number * most).min(most) * shape.length()).collect()
    }

    fn check(&self) -> Result<(), IndexError> {
        self.check_names()?;
        self.check_volumes()?;
        self.check_parity()?;
        self.check_blobs()?;
        let mut blobs: HashSet<Digest> = self.blobs.iter().map(|b| b.digest).collect();
        if blobs.len() != self.blobs.len() {
            return contradiction("a blob is listed twice");
        }
        self.check_content(&blobs)?;
        self.check_base(&mut blobs)?;
        self.check_sboms(&blobs)?;
        self.check_install()
    }

    fn check_names(&self) -> Result<(), IndexError> {
        let named = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !name.starts_with('-')
                && !name.ends_with('-')
        };
        if !named(&self.release.name) {
            return contradiction("the release has no valid name");
        }
        if self.release.vendor.trim().is_empty()
            || self.release.vendor.len() > 200
            || !self.release.vendor.chars().all(is_printable)
        {
            return contradiction("the vendor is no printable text");
        }
        if self.blobs.len() > limits::INDEX_BLOBS {
            return contradiction("it lists more blobs than the format allows");
        }
        if self.license.as_ref().is_some_and(|license| !license.is_plain()) {
            return contradiction("its licence policy asks for what no licence can have");
        }
        if let Some(blob) = self.blobs.iter().find(|b| !media::is_plain(&b.media_type)) {
            return contradiction(format!("the media type of {} is no printable text", blob.digest));
        }
        Ok(())
    }

    /// What must hold of what an upgrade relies on, which is added to `blobs`.
    fn check_base(&self, blobs: &mut HashSet<Digest>) -> Result<(), IndexError> {
        match (self.kind, &self.base) {
            (Kind::Full, None) if self.relied_on.is_empty() => return Ok(()),
            (Kind::Upgrade, Some(base)) if base.version <= self.release.version => {}
            _ => {
                return contradiction("it is full with a base, or an upgrade of none, or of a later release");
            }
        }
        let images = self.base.as_ref().map_or(0, |base| base.images.len());
        if self.blobs.len() + self.relied_on.len() > limits::INDEX_BLOBS || images > limits::INDEX_ENTRIES {
            return contradiction("it relies on more than the format allows");
        }
        for relied in &self.relied_on {
            if !media::is_plain(&relied.media_type) {
                return contradiction(format!("the media type of {} is no printable text", relied.digest));
            }
            if !blobs.insert(relied.digest) {
                return contradiction(format!("{} is relied on, and listed a second time", relied.digest));
            }
        }
        let sizes = self.relied_on.iter().map(|relied| relied.size);
        match crate::checked::sum(sizes).is_some_and(|sum| sum <= limits::PAYLOAD_BYTES) {
            true => Ok(()),
            false => contradiction("it relies on more bytes than the format allows"),
        }
    }

    /// The size of every blob of the release, in the payload or in the base.
    #[must_use]
    pub fn sizes(&self) -> HashMap<Digest, u64> {
        let carried = self.blobs.iter().map(|blob| (blob.digest, blob.size));
        carried.chain(self.relied_on.iter().map(|relied| (relied.digest, relied.size))).collect()
    }

    /// Every blob of the release, the payload's first.
    pub fn all_blobs(&self) -> impl Iterator<Item = Blob> {
        let relied = self.relied_on.iter().map(IndexRelied::blob);
        self.blobs.iter().map(IndexBlob::blob).chain(relied)
    }

    fn check_volumes(&self) -> Result<(), IndexError> {
        if self.payload.chunk_bytes != limits::CHUNK_BYTES {
            return contradiction(format!(
                "chunk_bytes is {}, not {}",
                self.payload.chunk_bytes,
                limits::CHUNK_BYTES
            ));
        }
        let shape = self.geometry()?;
        if self.volumes.len() != shape.volumes() {
            return contradiction(format!(
                "it lists {} volumes where its payload takes {}",
                self.volumes.len(),
                shape.volumes()
            ));
        }
        for (number, volume) in self.volumes.iter().enumerate() {
            if volume.name.as_str() != volume_name(&self.release, self.payload.seal, number) {
                return contradiction(format!("volume {} has the name of another", volume.name));
            }
            if volume.bytes != shape.file_length(number) || volume.chunks.len() as u64 != shape.chunks(number)
            {
                return contradiction(format!("volume {} has an impossible size or chunk list", volume.name));
            }
        }
        Ok(())
    }

    fn check_parity(&self) -> Result<(), IndexError> {
        let Some(parity) = &self.parity else { return Ok(()) };
        let shape = self.parity_shape().filter(|shape| shape.length() == parity.chunk_bytes);
        let Some(shape) = shape else {
            return contradiction("it has a share of parity that there cannot be");
        };
        let lengths = Self::parity_lengths(&shape, self.geometry()?.file_length(0));
        if parity.volumes.len() != lengths.len() {
            return contradiction("it lists more or fewer parity volumes than follow from their share");
        }
        for (number, (volume, bytes)) in parity.volumes.iter().zip(lengths).enumerate() {
            if volume.name.as_str() != parity_name(&self.release, number) {
                return contradiction(format!("parity volume {} has the name of another", volume.name));
            }
            if volume.bytes != bytes || volume.chunks.len() as u64 != bytes / shape.length() {
                return contradiction(format!(
                    "parity volume {} has an impossible size or chunk list",
                    volume.name
                ));
            }
        }
        Ok(())
    }

    fn check_blobs(&self) -> Result<(), IndexError> {
        let mut free = 0u64;
        for blob in &self.blobs {
            let placed = free
                .checked_add(tar::header_length(blob.size))
                .is_some_and(|first| blob.offset >= first && blob.offset.is_multiple_of(tar::BLOCK));
            let end =
                blob.offset.checked_add(blob.size).and_then(|end| end.checked_add(tar::padding(blob.size)));
            match end {
                Some(end) if placed && end <= self.payload.bytes => free = end,
                _ => {
                    return contradiction(format!(
                        "blob {} lies outside the payload, over another blob or off its block",
                        blob.digest
                    ));
                }
            }
        }
        Ok(())
    }
}

impl IndexRelied {
    /// Digest and size.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

impl IndexBlob {
    /// Digest and size.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

fn contradiction<T>(why: impl Into<String>) -> Result<T, IndexError> {
    Err(IndexError::Contradiction(why.into()))
}

/// Looks at the format before the shape: a later format may have any.
fn check_format(bytes: &[u8]) -> Result<(), IndexError> {
    #[derive(Deserialize)]
    struct Head {
        format: u64,
        #[serde(default)]
        reader: Option<String>,
    }
    let head: Head =
        serde_json::from_slice(bytes).map_err(|e| IndexError::Json(printable(&e.to_string(), 300)))?;
    if head.format > FORMAT {
        let reader = head.reader.and_then(|r| semver::Version::parse(&r).ok());
        let reader = reader.map_or_else(|| "(unnamed)".to_owned(), |r| r.to_string());
        return Err(IndexError::Newer { format: head.format, reader });
    }
    if head.format == 0 {
        return contradiction("format 0 does not exist");
    }
    Ok(())
}

mod hex_list {
    use super::{Digest, DigestError};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digests: &[Digest], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(digests.iter().map(Digest::hex))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Digest>, D::Error> {
        Vec::<String>::deserialize(d)?
            .iter()
            .map(|text| Digest::from_hex(text).map_err(|e: DigestError| D::Error::custom(e)))
            .collect()
    }
}
