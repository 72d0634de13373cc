//! What the two hosts answer.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, LINK, LOCATION};
use serde_json::json;

use super::server::Shared;
use super::{Access, Content, HubFile, Model};
use crate::registry::blobs::{Wanted, part, wanted};
use crate::registry::body::Outgoing;
use crate::registry::reply::{Reply, empty, name, set, with_body};

/// One request, as far as it matters.
pub(super) struct Call {
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) range: Option<String>,
}

/// A refusal as the hub makes them: the reason in headers.
fn refuse(status: u16, code: &str, message: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = with_body(status, Outgoing::bytes(json!({"error": message}).to_string().into()));
    set(&mut reply, CONTENT_TYPE, "application/json");
    set(&mut reply, name("x-error-code"), code);
    set(&mut reply, name("x-error-message"), message);
    reply
}

fn json_reply(value: &serde_json::Value) -> Reply {
    let mut reply = with_body(StatusCode::OK, Outgoing::bytes(value.to_string().into()));
    set(&mut reply, CONTENT_TYPE, "application/json; charset=utf-8");
    reply
}

/// The hub.
pub(super) fn answer_hub(shared: &Arc<Shared>, call: &Call) -> Reply {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", "models", owner, repo, "revision", revision] => {
            with_model(shared, call, (owner, repo), |model| {
                let Some(sha) = revised(shared, model, revision) else {
                    return refuse(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
                };
                let gated = matches!(model.access, Access::Gated { .. });
                let siblings: Vec<_> = model.files.keys().map(|path| json!({"rfilename": path})).collect();
                json_reply(
                    &json!({"id": model.repo, "sha": sha, "private": false, "gated": gated, "siblings": siblings}),
                )
            })
        }
        ["api", "models", owner, repo, "tree", revision] => {
            with_model(shared, call, (owner, repo), |model| {
                if revised(shared, model, revision).is_none() {
                    return refuse(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
                }
                tree(shared, model, path, query)
            })
        }
        [owner, repo, "resolve", revision, file @ ..] => with_model(shared, call, (owner, repo), |model| {
            resolve(shared, call, model, revision, &file.join("/"))
        }),
        _ => refuse(404, "", "Sorry, we can't find the page you are looking for."),
    }
}

fn with_model(
    shared: &Shared,
    call: &Call,
    (owner, repo): (&str, &str),
    answer: impl FnOnce(&Model) -> Reply,
) -> Reply {
    let models = shared.models();
    let Some(model) = models.get(&format!("{owner}/{repo}")) else {
        // Those who are not known are not told what exists.
        return match call.authorization {
            Some(_) => refuse(404, "RepoNotFound", "Repository not found"),
            None => refuse(401, "RepoNotFound", "Invalid username or password."),
        };
    };
    match &model.access {
        Access::Private { token } if !bears(call, token) => {
            refuse(401, "RepoNotFound", "Invalid username or password.")
        }
        _ => answer(model),
    }
}

fn bears(call: &Call, token: &str) -> bool {
    call.authorization.as_deref() == Some(&format!("Bearer {token}"))
}

/// The commit that `revision` is.
fn revised(shared: &Shared, model: &Model, revision: &str) -> Option<String> {
    let known = revision == "main" || revision == model.commit;
    known.then(|| shared.config.moved.clone().unwrap_or_else(|| model.commit.clone()))
}

fn tree(shared: &Shared, model: &Model, path: &str, query: &str) -> Reply {
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
    let from: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let mut entries = Vec::new();
    let mut folders = std::collections::BTreeSet::new();
    for (path, file) in &model.files {
        for (at, _) in path.match_indices('/') {
            if folders.insert(&path[..at]) {
                entries.push(
                    json!({"type": "directory", "oid": "1".repeat(40), "size": 0, "path": &path[..at]}),
                );
            }
        }
        let mut entry = json!({"type": "file", "oid": file.oid, "size": file.size(), "path": path});
        if let Some(sha256) = &file.large {
            entry["lfs"] = json!({"oid": sha256, "size": file.size(), "pointerSize": 135});
        }
        entries.push(entry);
    }
    let page = shared.config.page.max(1);
    let here: Vec<_> = entries.iter().skip(from).take(page).cloned().collect();
    let mut reply = json_reply(&serde_json::Value::Array(here));
    if from + page < entries.len() {
        let host = shared.config.next_host.clone().unwrap_or_else(|| shared.hub.to_string());
        let next = format!("<http://{host}{path}?recursive=true&cursor={}>; rel=\"next\"", from + page);
        set(&mut reply, LINK, &next);
    }
    reply
}

fn resolve(shared: &Arc<Shared>, call: &Call, model: &Model, revision: &str, path: &str) -> Reply {
    match &model.access {
        Access::Gated { token } if !bears(call, token) => {
            return match call.authorization {
                None => refuse(401, "GatedRepo", &format!("Access to model {} is restricted.", model.repo)),
                Some(_) => refuse(
                    403,
                    "GatedRepo",
                    &format!(
                        "Access to model {} is restricted and you are not in the authorized list.",
                        model.repo
                    ),
                ),
            };
        }
        _ => {}
    }
    let Some(commit) = revised(shared, model, revision) else {
        return refuse(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    };
    let path = unescaped(path);
    let Some(file) = model.files.get(&path) else {
        return refuse(404, "EntryNotFound", "Entry not found");
    };
    let mut reply = match &file.large {
        Some(sha256) => {
            let mut reply = empty(StatusCode::FOUND);
            let at = format!(
                "http://{}/repos/{}/{sha256}?file={path}&X-Amz-Signature=signed",
                shared.storage, model.repo
            );
            set(&mut reply, LOCATION, &at);
            set(&mut reply, name("x-linked-etag"), &format!("\"{sha256}\""));
            set(&mut reply, name("x-linked-size"), &file.size().to_string());
            reply
        }
        None => {
            let mut reply = content(shared, call, &path, file);
            set(&mut reply, ETAG, &format!("\"{}\"", file.oid));
            reply
        }
    };
    set(&mut reply, name("x-repo-commit"), &commit);
    reply
}

/// The storage host: one object by its signed address.
pub(super) fn answer_storage(shared: &Arc<Shared>, call: &Call) -> Reply {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    if call.authorization.is_some() {
        return refuse(
            400,
            "",
            "Only one auth mechanism allowed; you carried an Authorization to a signed address",
        );
    }
    if !query.contains("X-Amz-Signature=signed") {
        return refuse(403, "", "Access Denied");
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let ["repos", owner, repo, sha256] = parts.as_slice() else {
        return refuse(404, "", "NoSuchKey");
    };
    let models = shared.models();
    let found = models
        .get(&format!("{owner}/{repo}"))
        .and_then(|model| model.files.iter().find(|(_, file)| file.large.as_deref() == Some(*sha256)));
    match found {
        Some((path, file)) => content(shared, call, path, file),
        None => refuse(404, "", "NoSuchKey"),
    }
}

fn content(shared: &Arc<Shared>, call: &Call, path: &str, file: &HubFile) -> Reply {
    let length = file.size();
    let range = match call.range.as_deref().map(|text| wanted(text, length)) {
        Some(Wanted::Part(range)) => Some(range),
        Some(Wanted::Unsatisfiable) => {
            let mut reply = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            set(&mut reply, CONTENT_RANGE, &format!("bytes */{length}"));
            return reply;
        }
        Some(Wanted::Whole) | None => None,
    };
    let (offset, size) = match &range {
        Some(range) => (*range.start(), range.end() - range.start() + 1),
        None => (0, length),
    };
    let body = match &file.content {
        Content::Memory(bytes) => Outgoing::bytes(part(bytes, offset, size)),
        Content::Disk { path, .. } => match Outgoing::file(path, offset, size) {
            Ok(body) => body,
            Err(_) => return refuse(500, "", "the file behind the object cannot be read"),
        },
    };
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut reply = with_body(status, body.counted(shared.clone(), path));
    set(&mut reply, CONTENT_TYPE, "application/octet-stream");
    set(&mut reply, ACCEPT_RANGES, "bytes");
    if let Some(range) = range {
        set(&mut reply, CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start(), range.end()));
    }
    reply
}

/// A path without percent escapes (RFC 3986 §2.1).
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
