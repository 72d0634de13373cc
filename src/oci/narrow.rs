//! Which manifests of an index a release carries when it names platforms.
//!
//! An index whose children are all wanted is carried byte for byte. Otherwise registries would refuse it for its missing
//! children: one platform is carried as that manifest, several under a new index that names only those. Attestations
//! (`BuildKit`: annotation `vnd.docker.reference.digest`) go where the manifest they attest goes.

use std::collections::BTreeSet;

use super::manifest::ManifestError;
use super::{Descriptor, Platform, media};
use crate::digest::{Blob, Digest};

/// The annotation by which `BuildKit` says which manifest an attestation is about.
const ATTESTS: &str = "vnd.docker.reference.digest";

/// A child of an index, with the platform it is known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// As it stands in the index.
    pub descriptor: Descriptor,
    /// What it runs on: from the descriptor or, where that is silent, from its configuration.
    pub platform: Option<Platform>,
    /// Of an index whose descriptor is silent: what is in it runs on.
    pub inside: Vec<Platform>,
}

/// What becomes of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrowed {
    /// It is carried as it is.
    Whole,
    /// One of its manifests is carried instead.
    One {
        /// Which, by its place in the index.
        child: usize,
        /// Attestations about it, which have no place without an index and stay behind.
        left_behind: Vec<Digest>,
    },
    /// A new index is carried instead.
    Fewer {
        /// The children it has, by their place in the index.
        children: Vec<usize>,
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its digest and size.
        blob: Blob,
    },
}

/// Why an index cannot be narrowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarrowError {
    /// It lacks wanted platforms.
    #[error("it is not made for {}; it has {}", list(.missing), list(.has))]
    Missing {
        /// What is wanted and not there.
        missing: Vec<Platform>,
        /// What there is.
        has: Vec<Platform>,
    },
    /// A child that may or may not be wanted.
    #[error("its child {0} names no platform, so it cannot be told whether to carry it")]
    Unknown(Digest),
    /// An index in it has what is wanted and what is not.
    #[error("its child {digest} is an index itself, for {}; it is carried whole or not at all", list(.has))]
    Mixed {
        /// The child.
        digest: Digest,
        /// What is in it runs on.
        has: Vec<Platform>,
    },
    /// Its bytes are not an index.
    #[error(transparent)]
    Index(#[from] ManifestError),
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "no platform".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

impl Child {
    /// A child with the platform its descriptor states.
    #[must_use]
    pub fn new(descriptor: &Descriptor) -> Self {
        let platform = descriptor.platform.as_ref().and_then(super::manifest::DescriptorPlatform::platform);
        Self { descriptor: descriptor.clone(), platform, inside: Vec::new() }
    }

    /// What it, or what is in it, runs on.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.platform.iter().chain(&self.inside)
    }

    /// The manifest this one is an attestation about, if it is one.
    #[must_use]
    pub fn attests(&self) -> Option<Digest> {
        self.descriptor.annotations.as_ref()?.get(ATTESTS)?.parse().ok()
    }
}

/// Those of `wanted` that nothing in `has` satisfies.
///
/// # Errors
/// [`NarrowError::Missing`] when there are any.
pub fn require(wanted: &[Platform], has: &[Platform]) -> Result<(), NarrowError> {
    let missing: Vec<Platform> =
        wanted.iter().filter(|wanted| !has.iter().any(|one| one.satisfies(wanted))).cloned().collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(NarrowError::Missing { missing, has: has.to_vec() }),
    }
}

/// Decides what of an index is carried. `bytes` are the index, `children` its children in order.
///
/// # Errors
/// [`NarrowError`]: nothing is ever left out because it was not understood.
pub fn narrow(bytes: &[u8], children: &[Child], wanted: &[Platform]) -> Result<Narrowed, NarrowError> {
    let mut has: Vec<Platform> = children.iter().flat_map(Child::platforms).cloned().collect();
    has.sort();
    has.dedup();
    require(wanted, &has)?;
    let wants = |platform: &Platform| wanted.iter().any(|wanted| platform.satisfies(wanted));
    let untold =
        |child: &&Child| media::is_index(&child.descriptor.media_type) && child.platforms().next().is_none();
    if let Some(child) = children.iter().find(untold) {
        return Err(NarrowError::Unknown(child.descriptor.digest));
    }
    if children.iter().flat_map(Child::platforms).all(wants) {
        return Ok(Narrowed::Whole);
    }
    let kept: Vec<&Child> = children.iter().filter(|child| child.platforms().any(wants)).collect();
    if let Some(child) = kept.iter().find(|child| !child.platforms().all(wants)) {
        let has = child.platforms().cloned().collect();
        return Err(NarrowError::Mixed { digest: child.descriptor.digest, has });
    }
    let kept: BTreeSet<Digest> = kept.into_iter().map(|child| child.descriptor.digest).collect();
    let mut places = Vec::new();
    let mut attestations = Vec::new();
    for (place, child) in children.iter().enumerate() {
        match (child.platforms().next(), child.attests()) {
            (Some(_), _) if kept.contains(&child.descriptor.digest) => places.push(place),
            (None, Some(about)) if kept.contains(&about) => {
                places.push(place);
                attestations.push(child.descriptor.digest);
            }
            (Some(_), _) | (None, Some(_)) => {}
            (None, None) => return Err(NarrowError::Unknown(child.descriptor.digest)),
        }
    }
    if let (1, Some(child)) =
        (kept.len(), places.iter().copied().find(|place| children[*place].platforms().next().is_some()))
    {
        return Ok(Narrowed::One { child, left_behind: attestations });
    }
    let bytes = rewrite(bytes, &places)?;
    let blob = Blob { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    Ok(Narrowed::Fewer { children: places, bytes, blob })
}

/// The index with only the descriptors at `places`, which keep every field they had.
fn rewrite(bytes: &[u8], places: &[usize]) -> Result<Vec<u8>, ManifestError> {
    let malformed = || ManifestError::Json("an index without manifests".to_owned());
    let mut index: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| ManifestError::Json(e.to_string()))?;
    let manifests = index.get_mut("manifests").and_then(|m| m.as_array_mut()).ok_or_else(malformed)?;
    let kept = places.iter().map(|place| manifests.get(*place).cloned()).collect::<Option<Vec<_>>>();
    *manifests = kept.ok_or_else(malformed)?;
    serde_json::to_vec(&index).map_err(|e| ManifestError::Json(e.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oci::Manifest;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn child(platform: &str) -> serde_json::Value {
        let mut parts = platform.split('/');
        let mut json = json!({"os": parts.next(), "architecture": parts.next()});
        if let Some(variant) = parts.next() {
            json["variant"] = variant.into();
        }
        json!({"mediaType": media::OCI_MANIFEST, "digest": digest(platform), "size": 500, "platform": json, "x-own": 1})
    }

    fn attestation(about: &str) -> serde_json::Value {
        json!({
            "mediaType": media::OCI_MANIFEST, "digest": digest(&format!("about {about}")), "size": 600,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {ATTESTS: digest(about), "vnd.docker.reference.type": "attestation-manifest"},
        })
    }

    fn index(children: &[serde_json::Value]) -> (Vec<u8>, Vec<Child>) {
        let json = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children});
        let bytes = serde_json::to_vec(&json).unwrap();
        let (Manifest::Index { manifests, .. }, _) = Manifest::parse(&bytes, None).unwrap() else { panic!() };
        (bytes, manifests.iter().map(Child::new).collect())
    }

    fn platforms(names: &[&str]) -> Vec<Platform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn all_wanted_is_carried_as_it_is() {
        let (bytes, children) =
            index(&[child("linux/amd64"), child("linux/arm64/v8"), attestation("linux/amd64")]);
        let wanted = platforms(&["linux/arm64", "linux/amd64"]);
        assert_eq!(narrow(&bytes, &children, &wanted), Ok(Narrowed::Whole));
    }

    #[test]
    fn one_wanted_is_carried_as_that_manifest() {
        let (bytes, children) =
            index(&[child("linux/amd64"), child("linux/arm64"), attestation("linux/arm64")]);
        let left_behind = vec![digest("about linux/arm64")];
        assert_eq!(
            narrow(&bytes, &children, &platforms(&["linux/arm64"])),
            Ok(Narrowed::One { child: 1, left_behind })
        );
    }

    #[test]
    fn several_wanted_are_carried_under_a_new_index() {
        let (bytes, children) = index(&[
            child("linux/amd64"),
            child("linux/arm/v6"),
            child("linux/arm/v7"),
            child("windows/amd64"),
            attestation("linux/arm/v7"),
            attestation("windows/amd64"),
        ]);
        let narrowed = narrow(&bytes, &children, &platforms(&["linux/arm", "linux/amd64"])).unwrap();
        let Narrowed::Fewer { children: places, bytes: made, blob } = &narrowed else {
            panic!("{narrowed:?}")
        };
        assert_eq!(*places, vec![0, 1, 2, 4]);
        assert_eq!(blob.digest, Digest::of(made));
        let (Manifest::Index { manifests, .. }, media_type) = Manifest::parse(made, None).unwrap() else {
            panic!()
        };
        assert_eq!(media_type, media::OCI_INDEX);
        let kept: Vec<Descriptor> = places.iter().map(|p| children[*p].descriptor.clone()).collect();
        assert_eq!(manifests, kept);
        assert_eq!(String::from_utf8_lossy(made).matches("x-own").count(), 3);
        assert_eq!(narrow(&bytes, &children, &platforms(&["linux/arm", "linux/amd64"])), Ok(narrowed));
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        let (bytes, children) = index(&[child("linux/amd64"), child("windows/amd64")]);
        let error = narrow(&bytes, &children, &platforms(&["linux/amd64", "linux/s390x"])).unwrap_err();
        assert_eq!(error.to_string(), "it is not made for linux/s390x; it has linux/amd64, windows/amd64");
    }

    #[test]
    fn an_index_in_it_is_carried_whole_or_not_at_all() {
        let mut inner = child("linux/amd64");
        inner.as_object_mut().unwrap().remove("platform");
        inner["mediaType"] = media::OCI_INDEX.into();
        let (bytes, mut children) = index(&[inner, child("linux/arm64")]);
        let narrowed = |children: &[Child], wanted: &[&str]| narrow(&bytes, children, &platforms(wanted));
        // Nobody looked into it.
        for wanted in [&["linux/arm64"][..], &["linux/arm64", "linux/amd64"]] {
            assert!(narrowed(&children, wanted).is_err());
        }
        children[0].inside = platforms(&["linux/amd64"]);
        assert_eq!(narrowed(&children, &["linux/amd64", "linux/arm64"]), Ok(Narrowed::Whole));
        let one = |child| Ok(Narrowed::One { child, left_behind: vec![] });
        assert_eq!(narrowed(&children, &["linux/amd64"]), one(0));
        assert_eq!(narrowed(&children, &["linux/arm64"]), one(1));
        children[0].inside = platforms(&["linux/amd64", "linux/s390x"]);
        assert_eq!(narrowed(&children, &["linux/arm64"]), one(1));
        let error = narrowed(&children, &["linux/amd64"]).unwrap_err();
        assert!(
            error.to_string().ends_with("for linux/amd64, linux/s390x; it is carried whole or not at all"),
            "{error}"
        );
    }

    #[test]
    fn a_child_of_no_platform_is_kept_or_refused_never_dropped() {
        let mut nameless = child("linux/arm64");
        nameless.as_object_mut().unwrap().remove("platform");
        let (bytes, children) = index(&[child("linux/amd64"), nameless.clone()]);
        assert_eq!(narrow(&bytes, &children, &platforms(&["linux/amd64"])), Ok(Narrowed::Whole));
        let (bytes, children) = index(&[child("linux/amd64"), child("windows/amd64"), nameless]);
        assert!(matches!(
            narrow(&bytes, &children, &platforms(&["linux/amd64"])),
            Err(NarrowError::Unknown(_))
        ));
    }
}
