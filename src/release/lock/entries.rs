//! Whether each entry of a lock can be: names unique and possible, referrers about something there, paths safe on every medium.

use std::collections::{HashMap, HashSet};

use signing::cosign::CosignKey;

use super::{GraphFault, Lock, LockedChart, LockedImage, LockedModel, Of};
use crate::bundle::plain;
use crate::bundle::sums::Sums;
use crate::digest::Digest;
use crate::limits;
use crate::oci::{LocalName, Repository, cosign, media};
use crate::release::Name;
use crate::text::is_printable;

impl Lock {
    pub(super) fn check_entries(&self) -> Result<(), GraphFault> {
        let referrers = self.images.iter().map(|image| image.referrers.len()).sum();
        for (what, count) in [
            ("images", self.images.len()),
            ("referrers", referrers),
            ("charts", self.charts.len()),
            ("models", self.models.len()),
            ("files", self.files.len()),
            ("tools", self.tools.len()),
        ] {
            if count > limits::INDEX_ENTRIES {
                return Err(GraphFault::TooMany { what, count });
            }
        }
        let mut names = HashSet::new();
        let mut tags = HashMap::new();
        for image in &self.images {
            once(&mut names, image.reference.to_string())?;
            check_referrers(image, &mut tags)?;
            check_sboms(image)?;
            if let Some(key) = &image.cosign_key {
                CosignKey::from_base64(key).map_err(|error| GraphFault::Entry {
                    of: image.reference.to_string(),
                    why: format!("its cosign-key: {error}"),
                })?;
            }
        }
        for chart in &self.charts {
            once(&mut names, check_chart(chart)?.to_string())?;
        }
        for model in &self.models {
            once(&mut names, check_model(model)?.to_string())?;
        }
        self.check_plain()?;
        self.check_install()
    }

    fn check_plain(&self) -> Result<(), GraphFault> {
        let files = self.files.iter().map(|file| (&file.path, file.size));
        for (path, size) in files.chain(self.tools.iter().map(|tool| (&tool.path, tool.size))) {
            if size > limits::PLAIN_FILE_BYTES {
                let why = format!("it has {size} bytes; at most {} are read", limits::PLAIN_FILE_BYTES);
                return Err(GraphFault::Entry { of: path.to_string(), why });
            }
        }
        for tool in &self.tools {
            let belongs = plain::tool_path(&tool.name, &tool.platform);
            if belongs.as_ref() != Ok(&tool.path) {
                let why = format!("{} is not where a tool of this name lies", tool.path);
                return Err(GraphFault::Entry { of: format!("tool {}", tool.name), why });
            }
        }
        let paths = self.files.iter().map(|file| &file.path).chain(self.tools.iter().map(|tool| &tool.path));
        Ok(plain::check(paths)?)
    }
}

fn once(names: &mut HashSet<String>, name: String) -> Result<(), GraphFault> {
    if names.contains(&name) {
        return Err(GraphFault::Duplicate(name));
    }
    names.insert(name);
    Ok(())
}

fn check_referrers<'a>(
    image: &'a LockedImage,
    tags: &mut HashMap<(&'a Repository, &'a str), Digest>,
) -> Result<(), GraphFault> {
    let mut subjects: HashSet<Digest> = image.manifests.iter().map(|manifest| manifest.digest).collect();
    let mut seen = HashSet::new();
    for referrer in &image.referrers {
        let fault = |why: &str| {
            let of = Of::Referrer(image, referrer).to_string();
            Err(GraphFault::Entry { of, why: why.to_owned() })
        };
        if !subjects.contains(&referrer.subject) {
            return fault("its subject is neither a manifest of the image nor a referrer before it");
        }
        if referrer.tag.as_deref().is_some_and(|tag| cosign::subject(tag) != Some(referrer.subject)) {
            return fault("its tag names another subject");
        }
        if referrer.artifact_type.as_deref().is_some_and(|kind| !media::is_plain(kind)) {
            return fault("its type is not printable ASCII of at most 255 bytes");
        }
        let Some(root) = referrer.manifests.last() else { continue };
        if !seen.insert((referrer.tag.as_deref(), referrer.subject, root.digest)) {
            return fault("it stands there twice");
        }
        // Two images of one repository may be the same manifest, and then have the same signature.
        if let Some(tag) = &referrer.tag
            && *tags.entry((image.reference.repository(), tag)).or_insert(root.digest) != root.digest
        {
            return fault("its tag stands for another manifest elsewhere in the lock");
        }
        subjects.insert(root.digest);
    }
    Ok(())
}

/// What is listed as an SBOM must be carried.
fn check_sboms(image: &LockedImage) -> Result<(), GraphFault> {
    let referrers = image.referrers.iter().map(|one| (&one.manifests, &one.sboms));
    for (manifests, sboms) in std::iter::once((&image.manifests, &image.sboms)).chain(referrers) {
        for sbom in sboms {
            if !manifests
                .iter()
                .flat_map(|manifest| &manifest.layers)
                .any(|layer| layer.digest == sbom.digest)
            {
                let why = format!("{} is listed as an SBOM and is none of its layers", sbom.digest);
                return Err(GraphFault::Entry { of: image.reference.to_string(), why });
            }
        }
    }
    Ok(())
}

fn check_chart(chart: &LockedChart) -> Result<LocalName, GraphFault> {
    let fault = |why: String| GraphFault::Entry { of: format!("chart {:?}", chart.name), why };
    if [&chart.release, &chart.namespace].into_iter().flatten().any(|name| !is_label(name)) {
        return Err(fault(
            "its release or namespace is not a name of at most 63 printable characters".into(),
        ));
    }
    LocalName::chart(&chart.name, &chart.version).map_err(|error| fault(error.to_string()))
}

fn is_label(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && name.chars().all(is_printable)
}

fn check_model(model: &LockedModel) -> Result<LocalName, GraphFault> {
    let fault = |why: String| GraphFault::Entry { of: format!("model {:?}", model.name), why };
    model.name.parse::<Name>()?;
    Sums::new(model.files.iter().map(|file| (file.path.clone(), file.sha256)))
        .map_err(|error| fault(error.to_string()))?;
    let layers: HashSet<Digest> =
        model.manifests.iter().flat_map(|manifest| &manifest.layers).map(|layer| layer.digest).collect();
    for file in &model.files {
        if file.layers.is_empty() || !file.layers.iter().all(|layer| layers.contains(layer)) {
            return Err(fault(format!("{} is not in the layers of its manifest", file.path)));
        }
    }
    if let Some(notice) = model.notice.as_ref().filter(|n| !model.files.iter().any(|file| file.path == **n)) {
        return Err(fault(format!("its notice {notice} is not among its files")));
    }
    LocalName::model(&model.name, &model.version.to_string()).map_err(|error| fault(error.to_string()))
}
