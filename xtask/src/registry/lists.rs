//! Listings: tags, repositories, referrers (distribution-spec §Content Discovery).

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, LINK};
use serde_json::{Value, json};

use super::connection::Call;
use super::reply::{Outcome, Reply, empty, name, refuse, set};
use super::route::{Route, valid_digest};

/// One page of `names`, which are sorted, and the last name on it when more follow.
fn page(call: &Call, names: Vec<String>) -> (Vec<String>, Option<String>) {
    let last = call.query.one("last").unwrap_or("");
    let most = call.query.one("n").and_then(|n| n.parse().ok()).unwrap_or(call.shared.config.page);
    let mut rest = names.into_iter().filter(|name| name.as_str() > last);
    let names: Vec<String> = rest.by_ref().take(most).collect();
    let more = rest.next().is_some();
    let last = names.last().cloned().filter(|_| more);
    (names, last)
}

fn linked(call: &Call, mut reply: Reply, last: Option<String>) -> Reply {
    if let Some(last) = last {
        let path = call.parts.uri.path();
        let most = call.query.one("n").map_or_else(|| call.shared.config.page.to_string(), str::to_owned);
        let filter =
            call.query.one("artifactType").map_or_else(String::new, |kind| format!("&artifactType={kind}"));
        let target = call.location(&format!("{path}?last={last}&n={most}{filter}"));
        set(&mut reply, LINK, &format!("<{target}>; rel=\"next\""));
    }
    reply
}

pub(super) fn catalog(call: &Call) -> Reply {
    let names = call.shared.content().repositories.keys().cloned().collect();
    let (names, last) = page(call, names);
    linked(call, super::reply::json(StatusCode::OK, &json!({"repositories": names})), last)
}

pub(super) fn tags(call: &Call) -> Outcome {
    let repository = call.route.repository().unwrap_or("");
    let names =
        call.shared.content().repositories.get(repository).map(|held| held.tags.keys().cloned().collect());
    let Some(names) = names else {
        return Err(refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no such repository"));
    };
    let (names, last) = page(call, names);
    Ok(linked(call, super::reply::json(StatusCode::OK, &json!({"name": repository, "tags": names})), last))
}

pub(super) fn referrers(call: &Call) -> Outcome {
    let Route::Referrers { repository, digest } = &call.route else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    if !call.shared.config.referrers {
        return Err(refuse(StatusCode::NOT_FOUND, "UNSUPPORTED", "this registry has no referrers API"));
    }
    if !valid_digest(digest) {
        return Err(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a sha256 digest"));
    }
    if call.shared.config.endless_referrers {
        return Ok(endless(call));
    }
    let wanted = call.query.one("artifactType");
    let content = call.shared.content();
    let found = |digest: &String| -> Option<Value> {
        let manifest = content.repositories.get(repository)?.manifests.get(digest)?;
        let mut descriptor = json!({
            "mediaType": manifest.media_type,
            "digest": digest,
            "size": manifest.bytes.len(),
        });
        if let Some(kind) = &manifest.artifact_type {
            descriptor["artifactType"] = kind.as_str().into();
        }
        if let Some(annotations) = &manifest.annotations {
            descriptor["annotations"] = annotations.clone();
        }
        Some(descriptor)
    };
    let names: Vec<String> = content.repositories.get(repository).map_or_else(Vec::new, |held| {
        let about = held.manifests.iter().filter(|(_, manifest)| {
            manifest.subject.as_ref() == Some(digest)
                && (wanted.is_none() || wanted == manifest.artifact_type.as_deref())
        });
        about.map(|(digest, _)| digest.clone()).collect()
    });
    let (names, last) = page(call, names);
    let manifests: Vec<Value> = names.iter().filter_map(found).collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let mut reply = super::reply::json(StatusCode::OK, &index);
    set(&mut reply, CONTENT_TYPE, media_type);
    if wanted.is_some() {
        set(&mut reply, name("oci-filters-applied"), "artifactType");
    }
    Ok(linked(call, reply, last))
}

/// A page of made-up referrers, with another after it.
fn endless(call: &Call) -> Reply {
    let from: u64 = call.query.one("last").and_then(|last| last.parse().ok()).unwrap_or(0);
    let manifests: Vec<Value> = (from..from + 100)
        .map(|number| json!({"mediaType": "x/y", "digest": format!("sha256:{number:064x}"), "size": 2}))
        .collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let mut reply = super::reply::json(StatusCode::OK, &index);
    set(&mut reply, CONTENT_TYPE, media_type);
    linked(call, reply, Some((from + 100).to_string()))
}
