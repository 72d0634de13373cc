//! What a load does, decided before it begins.
//!
//! Facts: the index, the manifests (read from the bundle), and what of it the registry lacks, already placed. Out comes, for each
//! blob in payload order, the repositories it must be in, and for each thing its manifests, children first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::bundle::index::{Index, IndexReferrer};
use crate::digest::{Blob, Digest};
use crate::oci::{Manifest, Repository};
use crate::plan::placing::Placed;

/// What must be known of a manifest of the bundle once it was read and parsed. A hundred thousand of its pointers are held at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its media type.
    pub media_type: String,
    /// Whether it points to manifests.
    pub index: bool,
    /// What it points to.
    pub pointers: Box<[Blob]>,
    /// What it is about, where it says so.
    pub subject: Option<Digest>,
    /// The whole of it, where more than its pointers may be wanted: an index tells platforms, annotated layers may be signatures.
    pub whole: Option<Box<Manifest>>,
}

impl Known {
    /// Of `manifest`, as it is labelled.
    #[must_use]
    pub fn new(media_type: String, manifest: Manifest) -> Self {
        let index = matches!(&manifest, Manifest::Index { .. });
        let pointers = manifest.pointers().map(crate::oci::Descriptor::blob).collect();
        let subject = manifest.subject().map(|subject| subject.digest);
        let more = index || manifest.pointers().any(|pointer| pointer.annotations.is_some());
        Self { media_type, index, pointers, subject, whole: more.then(|| Box::new(manifest)) }
    }
}

/// What a load does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadPlan {
    /// Blobs to be put, in payload order, each with the repositories that need it.
    pub blobs: Vec<(Blob, Arc<[Repository]>)>,
    /// What to put then.
    pub items: Vec<Put>,
}

/// One manifest to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutManifest {
    /// Which.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Everything it points to, for refusing it when something of that failed.
    pub needs: Vec<Digest>,
    /// What it is about, where it says so.
    pub subject: Option<Digest>,
}

/// One thing to put: its root is put under its name last, after what refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// What, and where.
    pub placed: Placed,
    /// All its manifests, children first, the root last.
    pub manifests: Vec<PutManifest>,
    /// The same for each of its referrers.
    pub referrers: Vec<Vec<PutManifest>>,
}

/// A graph that is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A manifest points to something the bundle does not list.
    #[error("{parent} points to {child}, which the bundle does not hold")]
    Dangling {
        /// The manifest.
        parent: Digest,
        /// What it points to.
        child: Digest,
    },
    /// Something that is pointed to as a manifest is not listed as one.
    #[error("{0} is not listed as a manifest")]
    NoManifest(Digest),
    /// A manifest states another size than the index.
    #[error("{parent} says {child} has {stated} bytes; the index says {listed}")]
    Size {
        /// The manifest.
        parent: Digest,
        /// What it points to.
        child: Digest,
        /// The size it states.
        stated: u64,
        /// The size the index lists.
        listed: u64,
    },
    /// A referrer that is about something else than the index says.
    #[error("{referrer} is listed as about {listed} and states {}", stated.map_or_else(|| "no subject".to_owned(), |s| s.to_string()))]
    Subject {
        /// Which.
        referrer: Digest,
        /// What the index says.
        listed: Digest,
        /// What it says itself.
        stated: Option<Digest>,
    },
    /// Deeper than any real one, or a circle.
    #[error("the manifests below {0} nest too deep")]
    Depth(Digest),
}

/// Every manifest reachable from `root`, children first, each once; and every other blob, in the order met.
pub fn walk(
    root: Digest,
    manifests: &HashMap<Digest, Known>,
    sizes: &HashMap<Digest, u64>,
) -> Result<(Vec<Digest>, Vec<Blob>), GraphError> {
    let mut state =
        Walk { manifests, sizes, order: vec![], done: BTreeSet::new(), seen: BTreeSet::new(), blobs: vec![] };
    state.visit(root, 0)?;
    Ok((state.order, state.blobs))
}

/// Whether a referrer is about what the index says: by its own word, or by its tag alone where it says nothing.
pub fn about(referrer: &IndexReferrer, manifests: &HashMap<Digest, Known>) -> Result<(), GraphError> {
    let known = manifests.get(&referrer.digest).ok_or(GraphError::NoManifest(referrer.digest))?;
    match known.subject {
        Some(stated) if stated == referrer.subject => Ok(()),
        None if referrer.tag.is_some() => Ok(()),
        stated => Err(GraphError::Subject { referrer: referrer.digest, listed: referrer.subject, stated }),
    }
}

struct Walk<'a> {
    manifests: &'a HashMap<Digest, Known>,
    sizes: &'a HashMap<Digest, u64>,
    order: Vec<Digest>,
    /// Manifests in `order`. A digest can be both a manifest and a layer, and is then needed as both.
    done: BTreeSet<Digest>,
    /// Blobs in `blobs`.
    seen: BTreeSet<Digest>,
    blobs: Vec<Blob>,
}

impl Walk<'_> {
    fn visit(&mut self, digest: Digest, depth: usize) -> Result<(), GraphError> {
        if depth > crate::limits::GRAPH_DEPTH {
            return Err(GraphError::Depth(digest));
        }
        let Some(known) = self.manifests.get(&digest) else {
            return Err(GraphError::NoManifest(digest));
        };
        for pointer in &known.pointers {
            let child = pointer.digest;
            let listed = *self.sizes.get(&child).ok_or(GraphError::Dangling { parent: digest, child })?;
            if listed != pointer.size {
                return Err(GraphError::Size { parent: digest, child, stated: pointer.size, listed });
            }
            if known.index {
                if !self.done.contains(&child) {
                    self.visit(child, depth + 1)?;
                }
            } else if self.seen.insert(child) {
                self.blobs.push(*pointer);
            }
        }
        if self.done.insert(digest) {
            self.order.push(digest);
        }
        Ok(())
    }
}

/// Plans a load of `missing` (what the registry lacks) of `index`.
pub fn plan(
    index: &Index,
    missing: Vec<Placed>,
    manifests: &HashMap<Digest, Known>,
) -> Result<LoadPlan, GraphError> {
    let sizes = index.sizes();
    let mut sets = Sets::default();
    let mut put = |root: Digest, repository: &Repository| {
        let (order, blobs) = walk(root, manifests, &sizes)?;
        sets.add(repository, blobs.iter().map(|blob| blob.digest));
        let manifest = |digest: Digest| {
            let known = manifests.get(&digest)?;
            let needs = known.pointers.iter().map(|p| p.digest).collect();
            let subject = known.subject;
            Some(PutManifest { digest, media_type: known.media_type.clone(), needs, subject })
        };
        Ok(order.into_iter().filter_map(manifest).collect())
    };
    let mut items = Vec::with_capacity(missing.len());
    for placed in missing {
        let repository = placed.to.repository();
        let own: Vec<PutManifest> = put(placed.root, repository)?;
        let referrers = placed
            .referrers
            .iter()
            .map(|referrer| {
                about(&referrer.listed, manifests)?;
                put(referrer.listed.digest, repository)
            })
            .collect::<Result<_, _>>()?;
        items.push(Put { placed, manifests: own, referrers });
    }
    let mut places = sets.finish();
    let blobs = index
        .all_blobs()
        .filter_map(|blob| places.remove(&blob.digest).map(|repositories| (blob, repositories)))
        .collect();
    Ok(LoadPlan { blobs, items })
}

/// Which repositories need which blobs. Repositories are numbers until all is known, because most blobs are needed in the same few sets.
#[derive(Default)]
struct Sets {
    numbers: HashMap<Repository, u32>,
    repositories: Vec<Repository>,
    places: HashMap<Digest, Vec<u32>>,
}

impl Sets {
    fn add(&mut self, repository: &Repository, blobs: impl Iterator<Item = Digest>) {
        let next = u32::try_from(self.repositories.len()).unwrap_or(u32::MAX);
        let number = match self.numbers.get(repository) {
            Some(number) => *number,
            None => {
                self.repositories.push(repository.clone());
                *self.numbers.entry(repository.clone()).or_insert(next)
            }
        };
        for blob in blobs {
            let set = self.places.entry(blob).or_default();
            // A repository's blobs come together, but for those of what refers to another image in it.
            if set.last() != Some(&number) {
                set.push(number);
            }
        }
    }

    /// The repositories of each blob, sorted; each set is held once.
    fn finish(self) -> HashMap<Digest, Arc<[Repository]>> {
        let mut known = HashMap::<Vec<u32>, Arc<[Repository]>>::new();
        let mut all = HashMap::with_capacity(self.places.len());
        for (blob, mut set) in self.places {
            set.sort_unstable();
            set.dedup();
            let named = known.entry(set).or_insert_with_key(|set| {
                let mut named: Vec<Repository> = set
                    .iter()
                    .filter_map(|number| self.repositories.get(*number as usize).cloned())
                    .collect();
                named.sort();
                named.into()
            });
            all.insert(blob, Arc::clone(named));
        }
        all
    }
}

impl LoadPlan {
    /// Bytes of all blobs, each counted once: the most that can be sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|(blob, _)| blob.size).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    fn descriptor(name: &str) -> Descriptor {
        Descriptor::new("x", Blob { digest: Digest::of(name.as_bytes()), size: name.len() as u64 })
    }

    fn image(config: &str, layers: &[&str]) -> Known {
        let layers = layers.iter().map(|l| descriptor(l)).collect();
        Known::new("m".into(), Manifest::Image { config: descriptor(config), layers, subject: None })
    }

    fn list(children: &[&str]) -> Known {
        let manifests = children.iter().map(|c| descriptor(c)).collect();
        Known::new("i".into(), Manifest::Index { manifests, subject: None })
    }

    fn graph(entries: Vec<(&str, Known)>, blobs: &[&str]) -> (HashMap<Digest, Known>, HashMap<Digest, u64>) {
        let size = |name: &&str| (Digest::of(name.as_bytes()), name.len() as u64);
        let sizes = entries.iter().map(|(name, _)| size(name)).chain(blobs.iter().map(size)).collect();
        (entries.into_iter().map(|(name, known)| (Digest::of(name.as_bytes()), known)).collect(), sizes)
    }

    #[test]
    fn children_come_first_and_shared_ones_once() {
        let (manifests, sizes) = graph(
            vec![
                ("root", list(&["m1", "m2", "m1"])),
                ("m1", image("c1", &["l", "l"])),
                ("m2", image("c2", &["l"])),
            ],
            &["c1", "c2", "l"],
        );
        let (order, blobs) = walk(Digest::of(b"root"), &manifests, &sizes).unwrap();
        assert_eq!(order, ["m1", "m2", "root"].map(|n| Digest::of(n.as_bytes())));
        assert_eq!(blobs.len(), 3);
    }

    #[test]
    fn what_is_not_whole_is_named() {
        let (manifests, sizes) = graph(vec![("m", image("c", &["gone"]))], &["c"]);
        let parent = Digest::of(b"m");
        let child = Digest::of(b"gone");
        assert_eq!(walk(parent, &manifests, &sizes), Err(GraphError::Dangling { parent, child }));
    }

    #[test]
    fn sets_of_repositories_are_held_once_however_they_came_about() {
        let [a, b, c] = ["a", "b", "c"].map(|path| Repository::new("host.example", path).unwrap());
        let blobs = ["x", "y", "z"].map(|name| Digest::of(name.as_bytes()));
        let mut sets = Sets::default();
        sets.add(&b, blobs[..2].iter().copied());
        sets.add(&a, blobs.iter().copied());
        sets.add(&b, blobs[..1].iter().copied());
        sets.add(&c, blobs[2..].iter().copied());
        let places = sets.finish();
        assert_eq!(*places[&blobs[0]], [a.clone(), b.clone()]);
        assert!(Arc::ptr_eq(&places[&blobs[0]], &places[&blobs[1]]));
        assert_eq!(*places[&blobs[2]], [a, c]);
    }

    #[test]
    fn a_circle_ends() {
        let (manifests, sizes) = graph(vec![("a", list(&["b"])), ("b", list(&["a"]))], &[]);
        assert!(matches!(walk(Digest::of(b"a"), &manifests, &sizes), Err(GraphError::Depth(_))));
    }
}
