//! Registries that say "not now", networks that drop everything: what is tried again, and when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle::registry::{Client, Error, Options};
use xtask::registry::{Action, Kind, Rule};

use super::*;

fn recorded(settings: &Options) -> (Client, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (Client::new(settings, recorder.clone()).unwrap(), recorder)
}

#[test]
fn a_storm_that_ends_is_weathered() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let (bytes, _) = manifest(&server, "acme/app", "v1");
    for status in [408, 429, 500, 502, 503, 504] {
        let (client, recorder) = recorded(&options());
        server.faults().clear();
        server.faults().add(Rule::new(Action::Status(status, Vec::new())).times(4));
        assert_eq!(client.manifest(&repository, &tag("v1")).unwrap().bytes, bytes, "{status}");
        assert_eq!(recorder.told("Retry"), 4, "{status}");
    }
}

#[test]
fn a_storm_that_does_not_end_is_named() {
    let server = server();
    let repository = repository(&server, "acme/app");
    manifest(&server, "acme/app", "v1");
    let client = client();
    server.faults().add(Rule::new(Action::Status(429, Vec::new())));
    let error = client.manifest(&repository, &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::TooManyRequests { attempts: 5, .. }), "{error}");
    assert_eq!(server.stats().count("GET", Kind::Manifest), 5);
    server.faults().clear();
    server.faults().add(Rule::new(Action::Status(502, Vec::new())));
    let error = client.manifest(&repository, &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::Refused { status: 502, .. }), "{error}");
    server.faults().clear();
    server.faults().add(Rule::new(Action::Html(503)));
    let error = client.manifest(&repository, &tag("v1")).unwrap_err();
    assert!(error.to_string().contains("web page"), "{error}");
}

#[test]
fn retry_after_is_honoured() {
    let server = server();
    let repository = repository(&server, "acme/app");
    manifest(&server, "acme/app", "v1");
    let asked = vec![("Retry-After".to_owned(), "1".to_owned())];
    server.faults().add(Rule::new(Action::Status(429, asked)).once());
    let (client, recorder) = recorded(&options());
    let begun = Instant::now();
    client.manifest(&repository, &tag("v1")).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(recorder.0.lock().unwrap().iter().any(|line| line.contains("wait_ms: 1000")));
}

#[test]
fn resets_and_silence_are_tried_again() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let (bytes, _) = manifest(&server, "acme/app", "v1");
    for action in [
        Action::ResetResponse(0),
        Action::ResetResponse(20),
        Action::CloseResponse(20),
        Action::Stall,
        Action::StallResponse(20),
    ] {
        let (client, recorder) = recorded(&options());
        server.faults().clear();
        server.faults().add(Rule::new(action.clone()).times(2));
        assert_eq!(client.manifest(&repository, &tag("v1")).unwrap().bytes, bytes, "{action:?}");
        assert_eq!(recorder.told("Retry"), 2, "{action:?}");
        let silent = matches!(action, Action::Stall | Action::StallResponse(_));
        assert_eq!(recorder.told("Stalled") > 0, silent, "{action:?}");
    }
    server.faults().clear();
    server.faults().add(Rule::new(Action::Stall));
    let (client, _) = recorded(&Options { stall: Duration::from_millis(50), ..options() });
    assert!(matches!(client.manifest(&repository, &tag("v1")), Err(Error::Stalled { .. })));
}

#[test]
fn many_threads_share_one_client() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let blobs: Vec<_> = (0..16).map(|seed| noise(300_000, seed)).collect();
    for bytes in &blobs {
        server.put_blob("acme/app", bytes.clone());
    }
    server.faults().add(Rule::new(Action::ResetResponse(100_000)).times(8));
    let client = client();
    std::thread::scope(|scope| {
        for bytes in &blobs {
            let (client, repository) = (&client, &repository);
            scope.spawn(move || {
                let body = client.open_blob(repository, &blob_of(bytes), 0).unwrap();
                assert_eq!(drain(body).unwrap(), *bytes);
            });
        }
    });
}
