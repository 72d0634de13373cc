//! Manifests (distribution-spec §Pulling, §Pushing, §Deleting manifests).

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use hyper::{Method, StatusCode};

use super::body::{Outgoing, Torn};
use super::connection::Call;
use super::content::{Content, Document, Manifest};
use super::reply::{Fail, Outcome, empty, error, name, refuse, set, with_body};
use super::route::{Route, valid_digest, valid_tag};
use super::server::digest_of;

/// The 4 MiB that registries accept at least, and this one at most.
const MOST: u64 = 4 << 20;

const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

pub(super) async fn handle(call: &mut Call) -> Outcome {
    let Route::Manifest { repository, reference } = call.route.clone() else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    if !valid_digest(&reference) && !valid_tag(&reference) {
        return Err(refuse(StatusCode::BAD_REQUEST, "TAG_INVALID", "neither a tag nor a sha256 digest"));
    }
    match call.parts.method {
        Method::GET | Method::HEAD => read(call, &repository, &reference),
        Method::PUT => write(call, &repository, &reference).await,
        Method::DELETE => delete(call, &repository, &reference),
        _ => Ok(error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "not a method of manifests")),
    }
}

fn unknown() -> Fail {
    refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "no such manifest in this repository")
}

fn read(call: &Call, repository: &str, reference: &str) -> Outcome {
    let content = call.shared.content();
    let (digest, manifest) = content.manifest(repository, reference).ok_or_else(unknown)?;
    // distribution answers 404 to a client that does not say it can read this type.
    let accepted: Vec<&str> = call.parts.headers.get_all(ACCEPT).iter().flat_map(|v| v.to_str()).collect();
    let names = |text: &&str| text.contains("*/*") || text.contains(&manifest.media_type);
    if !accepted.is_empty() && !accepted.iter().any(names) {
        let message = format!("Accept does not name {}", manifest.media_type);
        return Err(refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message));
    }
    let mut reply = with_body(StatusCode::OK, Outgoing::bytes(manifest.bytes.clone()));
    set(&mut reply, CONTENT_TYPE, &manifest.media_type);
    set(&mut reply, name("docker-content-digest"), digest);
    Ok(reply)
}

async fn write(call: &mut Call, repository: &str, reference: &str) -> Outcome {
    let large = || refuse(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "manifests have at most 4 MiB");
    let announced = call.header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MOST) {
        return Err(large());
    }
    call.intake.at_most(MOST);
    let bytes = match call.intake.whole().await {
        Ok(bytes) => bytes,
        Err(Torn::TooLarge) => return Err(large()),
        Err(Torn::Broken) => return Err(Fail::Torn),
    };
    let digest = digest_of(&bytes);
    let tag = valid_tag(reference).then_some(reference);
    if tag.is_none() && reference != digest {
        let message = "the content does not have the digest";
        return Err(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
    }
    let media_type = call.header(CONTENT_TYPE).unwrap_or("").to_owned();
    let mut content = call.shared.content();
    store(&mut content, repository, tag, (&media_type, bytes))
        .map_err(|(status, code, message)| refuse(status, code, &message))?;
    let subject = content.manifest(repository, &digest).and_then(|(_, manifest)| manifest.subject.clone());
    drop(content);
    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, &call.location(&format!("/v2/{repository}/manifests/{digest}")));
    set(&mut reply, name("docker-content-digest"), &digest);
    if let Some(subject) = subject.filter(|_| call.shared.config.referrers) {
        set(&mut reply, name("oci-subject"), &subject);
    }
    Ok(reply)
}

/// Status, code and explanation of a refusal.
pub(super) type Refusal = (StatusCode, &'static str, String);

fn invalid(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message.into())
}

/// Takes a manifest in, if everything it needs is in the repository; returns its digest.
pub(super) fn store(
    content: &mut Content,
    repository: &str,
    tag: Option<&str>,
    manifest: (&str, Bytes),
) -> Result<String, Refusal> {
    let (media_type, bytes) = manifest;
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("not a manifest: {error}")))?;
    if document.media_type.as_deref().is_some_and(|own| own != media_type) {
        return Err(invalid("mediaType and Content-Type differ"));
    }
    check(content, repository, (media_type, &document))?;
    let digest = digest_of(&bytes);
    let artifact_type = document
        .artifact_type
        .filter(|kind| !kind.is_empty())
        .or_else(|| document.config.map(|config| config.media_type));
    let manifest = Manifest {
        bytes,
        media_type: media_type.to_owned(),
        subject: document.subject.map(|subject| subject.digest),
        artifact_type,
        annotations: document.annotations,
    };
    let held = content.repositories.entry(repository.to_owned()).or_default();
    held.manifests.insert(digest.clone(), manifest);
    if let Some(tag) = tag {
        held.tags.insert(tag.to_owned(), digest.clone());
    }
    Ok(digest)
}

/// Everything the document points to must be there, with the size it says; the subject need not be.
fn check(content: &Content, repository: &str, manifest: (&str, &Document)) -> Result<(), Refusal> {
    let (media_type, document) = manifest;
    if INDEXES.contains(&media_type) {
        for child in &document.manifests {
            let (_, held) = content
                .manifest(repository, &child.digest)
                .ok_or_else(|| missing("MANIFEST_BLOB_UNKNOWN", &child.digest))?;
            if held.bytes.len() as u64 != child.size {
                return Err(invalid(format!("{} has another size", child.digest)));
            }
        }
        return Ok(());
    }
    if !MANIFESTS.contains(&media_type) {
        return Err(invalid(format!("\"{media_type}\" is not a manifest this registry takes")));
    }
    let config = document.config.as_ref().ok_or_else(|| invalid("a manifest without config"))?;
    for blob in document.layers.iter().filter(|layer| layer.urls.is_empty()).chain([config]) {
        let held = content
            .blob(repository, &blob.digest)
            .ok_or_else(|| missing("MANIFEST_BLOB_UNKNOWN", &blob.digest))?;
        if held.length() != blob.size {
            return Err(invalid(format!("{} has another size", blob.digest)));
        }
    }
    Ok(())
}

fn missing(code: &'static str, digest: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, code, format!("{digest} is not in this repository"))
}

fn delete(call: &Call, repository: &str, reference: &str) -> Outcome {
    let mut content = call.shared.content();
    let held = content.repositories.get_mut(repository).ok_or_else(unknown)?;
    if valid_tag(reference) {
        held.tags.remove(reference).ok_or_else(unknown)?;
    } else {
        held.manifests.remove(reference).ok_or_else(unknown)?;
        held.tags.retain(|_, digest| digest != reference);
    }
    Ok(empty(StatusCode::ACCEPTED))
}
