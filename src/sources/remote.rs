//! A repository of a registry as a source of images.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Images, Named, RawManifest, Refers};
use crate::digest::{Blob, Digest};
use crate::oci::{Pointer, Reference, Repository, cosign, referrer};
use crate::registry::{self, Client};
use crate::store::{self, Pieces, Source};

/// How the tags begin by which cosign and the fallback of the referrers API name what they are about.
const DIGEST_TAGS: &str = "sha256-";

/// One repository, read through a client that others use too.
#[derive(Debug)]
pub struct Remote {
    client: Arc<Client>,
    repository: Repository,
    tags: Mutex<Option<Tags>>,
}

/// What is known of the tags of a repository that are made of digests, whatever they are about.
#[derive(Debug, Clone)]
enum Tags {
    /// They are these.
    All(Arc<HashSet<String>>),
    /// Too many to list at once, or not to be listed: those of each digest are asked for.
    Ask,
}

impl Remote {
    /// The repository of `reference`.
    #[must_use]
    pub fn new(client: Arc<Client>, reference: &Reference) -> Self {
        Self { client, repository: reference.repository().clone(), tags: Mutex::default() }
    }

    /// The tags that are made of `subject`; `None` when the registry does not tell. All images of a repository, and all their platforms,
    /// share one question where its answer is whole.
    fn tags(&self, subject: &Digest) -> Result<Option<Arc<HashSet<String>>>, Error> {
        let beginning = |prefix: &str| {
            let found = self.client.tags_beginning(&self.repository, prefix).map_err(store::Error::from)?;
            Ok::<_, Error>(found.map(Arc::new))
        };
        let known = {
            let mut known = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            match &*known {
                Some(tags) => tags.clone(),
                None => known.insert(beginning(DIGEST_TAGS)?.map_or(Tags::Ask, Tags::All)).clone(),
            }
        };
        match known {
            Tags::All(tags) => Ok(Some(tags)),
            Tags::Ask => beginning(&referrer::fallback_tag(subject)),
        }
    }

    fn get(&self, pointer: &Pointer) -> Result<RawManifest, Error> {
        let raw = self.client.manifest(&self.repository, pointer).map_err(store::Error::from)?;
        let media_type = Some(raw.media_type).filter(|stated| !stated.is_empty());
        Ok(RawManifest { bytes: raw.bytes.to_vec(), media_type, digest: raw.digest, made: false })
    }
}

impl Source for Remote {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        Ok(Box::new(self.client.open_blob(&self.repository, blob, offset)?))
    }
}

impl Images for Remote {
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error> {
        self.get(&named.reference.pointer())
    }

    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        self.get(&Pointer::Digest(blob.digest))
    }

    /// Two questions where the registry answers both: its tags that are made of digests, asked once, and what it lists about this one.
    fn referrers(&self, subject: &Digest) -> Result<Vec<Refers>, Error> {
        let mut found = Vec::new();
        let known = self.tags(subject)?;
        for ending in cosign::ENDINGS {
            let tag = cosign::tag(subject, ending);
            if known.as_ref().is_some_and(|known| !known.contains(&tag)) {
                continue;
            }
            match self.get(&Pointer::Tag(tag.clone())) {
                Ok(raw) => found.push(Refers::Tagged { tag, raw }),
                Err(Error::Store(store::Error::Registry(registry::Error::NotFound { .. })))
                    if known.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let listed = self.client.referrers_by_api(&self.repository, subject).map_err(store::Error::from)?;
        let listed = match listed {
            Some(listed) => listed,
            None if known.is_some_and(|known| !known.contains(&referrer::fallback_tag(subject))) => {
                Vec::new()
            }
            None => self.client.referrers_by_tag(&self.repository, subject).map_err(store::Error::from)?,
        };
        found.extend(listed.into_iter().map(Refers::Listed));
        Ok(found)
    }
}
