//! Tags, repositories, referrers: what can be asked without knowing a digest.
//!
//! distribution-spec, §Content Discovery. Pages are cut where the client says; without `n` a list comes whole.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, LINK};
use serde_json::json;

use super::answer::{Answer, FILTERS, damaged, error, json as answer_json, set};
use super::handle::Call;
use crate::digest::Digest;
use crate::oci::{media, referrer};

/// How many entries are wanted; `None` for all. The error is the answer.
fn page(call: &Call) -> Result<Option<usize>, Box<Answer>> {
    match call.query.n.as_deref() {
        None => Ok(None),
        Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(n.parse().unwrap_or(usize::MAX))),
        Some(_) => {
            let message = "n is the number of entries that are wanted";
            Err(Box::new(error(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", message)))
        }
    }
}

/// The first `most` of `entries`, and where the next page begins when there are more.
fn cut<'a>(entries: impl Iterator<Item = &'a str>, most: Option<usize>) -> (Vec<&'a str>, Option<&'a str>) {
    let Some(most) = most else { return (entries.collect(), None) };
    let mut entries = entries.peekable();
    let taken: Vec<&str> = std::iter::from_fn(|| entries.next()).take(most).collect();
    let next = taken.last().copied().filter(|_| entries.peek().is_some());
    (taken, next)
}

fn link(answer: &mut Answer, call: &Call, path: &str, (most, last): (Option<usize>, Option<&str>)) {
    let (Some(most), Some(last)) = (most, last) else { return };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("last", last).append_pair("n", &most.to_string());
    if let Some(vendor) = &call.query.vendor {
        query.append_pair("ns", vendor);
    }
    set(answer, LINK, &format!("<{path}?{}>; rel=\"next\"", query.finish()));
}

/// `/v2/<name>/tags/list`
pub(super) fn tags(call: &Call, name: &str) -> Answer {
    let Some(shelf) = call.shared.library.catalog().repository(name, call.query.vendor.as_deref()) else {
        return call.no_repository(name);
    };
    let most = match page(call) {
        Ok(most) => most,
        Err(answer) => return *answer,
    };
    let (tags, next) = cut(shelf.tags_after(call.query.last.as_deref()), most);
    let mut answer = answer_json(StatusCode::OK, &json!({"name": name, "tags": tags}));
    link(&mut answer, call, &format!("/v2/{name}/tags/list"), (most, next));
    answer
}

/// `/v2/_catalog`
pub(super) fn catalog(call: &Call) -> Answer {
    let most = match page(call) {
        Ok(most) => most,
        Err(answer) => return *answer,
    };
    let catalog = call.shared.library.catalog();
    let (names, next) = cut(catalog.names_after(call.query.last.as_deref()), most);
    let mut answer = answer_json(StatusCode::OK, &json!({"repositories": names}));
    link(&mut answer, call, "/v2/_catalog", (most, next));
    answer
}

/// `/v2/<name>/referrers/<digest>`: always a list, perhaps an empty one (distribution-spec, §Listing Referrers).
pub(super) async fn referrers(call: &Call, name: &str, subject: Digest) -> Answer {
    let library = Arc::clone(&call.shared.library);
    if library.catalog().repository(name, call.query.vendor.as_deref()).is_none() {
        return call.no_repository(name);
    }
    let mut found = Vec::new();
    for digest in library.catalog().referrers(&subject) {
        let Some(held) = library.catalog().manifest(digest) else { continue };
        let bytes = match call.whole(held.blob(*digest)).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        let Ok(descriptor) = referrer::describe(&bytes, &held.media_type, held.blob(*digest)) else {
            return damaged();
        };
        let wanted = call.query.artifact_type.as_deref();
        if wanted.is_some_and(|wanted| descriptor.artifact_type.as_deref() != Some(wanted)) {
            continue;
        }
        found.push(descriptor);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": found});
    let mut answer = answer_json(StatusCode::OK, &index);
    set(&mut answer, CONTENT_TYPE, media::OCI_INDEX);
    if call.query.artifact_type.is_some() {
        set(&mut answer, FILTERS, "artifactType");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_they_should() {
        let all = || ["a", "b", "c"].into_iter();
        assert_eq!(cut(all(), None), (vec!["a", "b", "c"], None));
        assert_eq!(cut(all(), Some(2)), (vec!["a", "b"], Some("b")));
        assert_eq!(cut(all(), Some(3)), (vec!["a", "b", "c"], None));
        assert_eq!(cut(all(), Some(9)), (vec!["a", "b", "c"], None));
        assert_eq!(cut(all(), Some(0)), (vec![], None));
    }
}
