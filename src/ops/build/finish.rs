//! What is written once the volumes are: the texts, the index, the grants, and last the list of files and its signatures.

use std::path::Path;

use minijinja::context;
use minijinja::syntax::SyntaxConfig;

use super::journal::Work;
use super::{Error, Plan, Request};
use crate::bundle::grant::{self, Identity, SealTo};
use crate::bundle::sums::Sums;
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::oci::reference::ReferenceError;
use crate::oci::{LocalName, media};
use crate::ops::sign::{INDEX, SUMS, write_signature};
use crate::path::EntryPath;
use crate::plan::payload;
use crate::release::lock::{Graph, Of};
use crate::sources::Reach;
use crate::sys::fs;

const README: &str = include_str!("../../../templates/README.md.j2");

/// Finishes the bundle in the work folder.
pub(super) fn finish(
    plan: &Plan,
    work: &Work,
    request: &Request<'_>,
    reach: &dyn Reach,
) -> Result<(), Error> {
    let folder = work.folder();
    sweep(folder)?;
    let base = request.file.parent().unwrap_or(Path::new(""));
    let plain = super::plain::copy(plan, base, folder, reach)?;
    let known = work.known();
    let mut index = payload::index(&plan.lock, plan.lock_digest, &plan.payload, plan.shape.volume_bytes());
    index.volumes = known.written.into_values().collect();
    let text = index.to_text()?;
    let mut files: Vec<(EntryPath, Digest)> =
        index.volumes.iter().map(|volume| (volume.name.clone(), volume.sha256)).chain(plain).collect();
    // What is signed must be what a reader accepts. Two of an index are not held at the same time.
    drop(index);
    crate::bundle::Index::parse(&text)?;
    let readme = readme(plan, request)?;
    for (name, bytes) in [(INDEX, text.as_slice()), ("README.md", readme.as_bytes())] {
        fs::write(&folder.join(name), bytes, fs::PUBLIC)?;
        let path: EntryPath = name.parse().map_err(|e: crate::path::PathError| {
            crate::bundle::index::IndexError::Contradiction(e.to_string())
        })?;
        files.push((path, Digest::of(bytes)));
    }
    if let Some(key) = work.key() {
        write_grants(folder, &key.to_text(), request)?;
    }
    let sums = Sums::new(files)?.render();
    for key in request.sign_keys {
        write_signature(folder, sums.as_bytes(), key)?;
    }
    fs::write(&folder.join(SUMS), sums.as_bytes(), fs::PUBLIC)?;
    Ok(())
}

/// A bundle that only lacked its name: the signatures asked for now are added to those it has. Its grants were sealed by the run that had
/// the release key; gives their names.
pub(super) fn sign_again(work: &Work, request: &Request<'_>) -> Result<Vec<String>, Error> {
    let sums = fs::read_limited(&work.folder().join(SUMS), crate::limits::SUMS_BYTES)?;
    for key in request.sign_keys {
        write_signature(work.folder(), &sums, key)?;
    }
    Ok(crate::ops::inspect::names(&work.folder().join("grants"), "age"))
}

/// Takes away what an earlier run had begun to finish, perhaps with other keys.
fn sweep(folder: &Path) -> Result<(), Error> {
    let io = |source| Error::File(fs::Error::Io { path: folder.to_owned(), source });
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if name == "volumes" || name == super::journal::STATE {
            continue;
        }
        let path = entry.path();
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.map_err(|source| fs::Error::Io { path, source })?;
    }
    Ok(())
}

fn write_grants(folder: &Path, key: &str, request: &Request<'_>) -> Result<(), Error> {
    let grants = folder.join("grants");
    std::fs::create_dir(&grants).map_err(|source| fs::Error::Io { path: grants.clone(), source })?;
    let identity: Identity = key.parse()?;
    for grantee in request.recipients {
        let sealed = grant::seal(&identity, SealTo::Recipients(std::slice::from_ref(&grantee.recipient)))?;
        fs::create(&grants.join(format!("{}.age", grantee.name)), &sealed, fs::PUBLIC)?;
    }
    Ok(())
}

/// The bundle's own README: what it is, and how to check and open it with stock tools.
fn readme(plan: &Plan, request: &Request<'_>) -> Result<String, Error> {
    let fault = |e: &minijinja::Error| Error::Template { name: "README.md", why: format!("{e:#}") };
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|e| fault(&e))?);
    environment.add_template("README.md", README).map_err(|e| fault(&e))?;
    let template = environment.get_template("README.md").map_err(|e| fault(&e))?;
    let images: Vec<_> = plan.lock.graphs().filter(|graph| matches!(graph.of, Of::Image(_))).collect();
    let others = plan.lock.graphs().filter(|graph| !matches!(graph.of, Of::Image(_)));
    let images: Vec<_> = images.iter().map(told).collect();
    let others: Vec<_> = others.map(|graph| told(&graph)).collect();
    let signers: Vec<String> = request.sign_keys.iter().map(|key| key.public().id().to_string()).collect();
    template
        .render(context! {
            name => plan.release.name.clone(),
            version => plan.release.version.to_string(),
            vendor => plan.release.vendor.clone(),
            sealed => plan.lock.seal == crate::release::lock::Seal::Age,
            volumes => plan.shape.volumes(),
            first_volume => crate::bundle::index::volume_name(&plan.release, plan.lock.seal, 0),
            size => ByteSize(plan.shape.total_length()).to_string(),
            images,
            others,
            signers,
        })
        .map_err(|e| fault(&e))
}

/// What the README says of one root.
fn told(graph: &Graph<'_>) -> minijinja::Value {
    let (name, path, tag, platforms) = match graph.of {
        Of::Image(image) => {
            let (reference, platforms) = (&image.reference, &image.platforms);
            let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            let tag = reference.tag().map(str::to_owned);
            (reference.to_string(), reference.repository().path().to_owned(), tag, platforms.join(", "))
        }
        Of::Referrer(image, referrer) => {
            let path = image.reference.repository().path().to_owned();
            (graph.of.to_string(), path, referrer.tag.clone(), String::new())
        }
        Of::Chart(chart) => local(LocalName::chart(&chart.name, &chart.version)),
        Of::Model(model) => local(LocalName::model(&model.name, &model.version.to_string())),
    };
    let root = graph.root();
    context! {
        name, path, tag, platforms,
        digest => root.map(|root| root.digest.to_string()),
        hex => root.map(|root| root.digest.hex()),
        docker => root.is_some_and(|root| media::is_docker(&root.media_type)),
    }
}

fn local(name: Result<LocalName, ReferenceError>) -> (String, String, Option<String>, String) {
    let Ok(name) = name else { return Default::default() };
    (name.to_string(), name.path().to_owned(), Some(name.tag().to_owned()), String::new())
}
