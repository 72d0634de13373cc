//! Reading: what is there, what is not, and bodies that break.

use std::sync::Arc;

use bundle::digest::Digest;
use bundle::oci::Pointer;
use bundle::registry::{Client, Error, Options, Proxies};
use xtask::registry::{Action, Auth, Config, Kind, Rule, Server};

use super::*;

#[test]
fn a_manifest_comes_as_its_own_bytes() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let (bytes, digest) = manifest(&server, "acme/app", "v1");
    let client = client();
    for pointer in [tag("v1"), Pointer::Digest(digest)] {
        let raw = client.manifest(&repository, &pointer).unwrap();
        assert_eq!((raw.bytes, raw.digest, raw.media_type.as_str()), (bytes.clone(), digest, MANIFEST));
        let head = client.head_manifest(&repository, &pointer).unwrap().unwrap();
        assert_eq!((head.digest, head.size), (Some(digest), Some(bytes.len() as u64)));
        assert_eq!(head.media_type.as_deref(), Some(MANIFEST));
    }
    client.ping(&server.host()).unwrap();
    let tags = client.tags_beginning(&repository, "v").unwrap().unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["v1"]);
}

#[test]
fn absent_is_told_from_not_known() {
    let server = server();
    let (held, absent) = (repository(&server, "acme/app"), Pointer::Digest(Digest::of(b"absent")));
    manifest(&server, "acme/app", "v1");
    let client = client();
    assert_eq!(client.head_manifest(&held, &absent).unwrap(), None);
    assert_eq!(client.head_blob(&held, &Digest::of(b"absent")).unwrap(), None);
    assert!(matches!(client.manifest(&held, &tag("v9")), Err(Error::NotFound { .. })));
    for status in [403, 500, 429, 451] {
        server.faults().clear();
        server.faults().add(Rule::new(Action::Status(status, Vec::new())));
        assert!(client.head_manifest(&held, &absent).is_err(), "{status}");
        assert!(client.head_blob(&held, &Digest::of(b"absent")).is_err(), "{status}");
        assert!(client.referrers(&held, &Digest::of(b"absent")).is_err(), "{status}");
    }
    drop(server);
    assert!(matches!(client.head_manifest(&held, &absent), Err(Error::Unreachable { .. })));
}

#[test]
fn a_lying_manifest_is_refused() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let (_, digest) = manifest(&server, "acme/app", "v1");
    let client = client();
    let by_digest = Pointer::Digest(digest);
    for (action, pointer) in [
        (Action::WrongBytes(5), &by_digest),
        (Action::WrongDigestHeader, &by_digest),
        (Action::WrongDigestHeader, &tag("v1")),
    ] {
        server.faults().clear();
        server.faults().add(Rule::new(action.clone()));
        let error = client.manifest(&repository, pointer).unwrap_err();
        assert!(matches!(error, Error::WrongDigest { .. }), "{action:?}: {error}");
    }
    for action in [Action::Html(200), Action::EndlessBody, Action::ShortBody(7)] {
        server.faults().clear();
        server.faults().add(Rule::new(action.clone()));
        let error = client.manifest(&repository, &by_digest).unwrap_err();
        match action {
            Action::Html(_) => assert!(matches!(error, Error::Malformed { .. }), "{error}"),
            Action::EndlessBody => assert!(matches!(error, Error::TooLong { .. }), "{error}"),
            _ => assert!(matches!(error, Error::WrongDigest { .. }), "{error}"),
        }
    }
    server.faults().clear();
    server.faults().add(Rule::new(Action::Html(200)));
    assert!(matches!(client.tags_beginning(&repository, "v"), Err(Error::Malformed { .. })));
    assert!(matches!(client.referrers(&repository, &digest), Err(Error::Malformed { .. })));
    assert!(matches!(client.ping(&server.host()), Err(Error::Malformed { .. })));
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let bytes = noise(3_000_000, 1);
    server.put_blob("acme/app", bytes.clone());
    let client = client();
    for action in
        [Action::ResetResponse(700_000), Action::CloseResponse(700_000), Action::StallResponse(700_000)]
    {
        server.faults().clear();
        server.reset_stats();
        server.faults().add(Rule::new(action.clone()).method("GET").times(2));
        let body = client.open_blob(&repository, &blob_of(&bytes), 0).unwrap();
        assert_eq!(drain(body).unwrap(), bytes, "{action:?}");
        let ranges: Vec<_> = server.stats().lines.into_iter().map(|line| line.range).collect();
        assert_eq!(ranges.len(), 3, "{action:?}: {ranges:?}");
        assert!(ranges[0].is_none() && ranges[1..].iter().all(Option::is_some), "{ranges:?}");
        assert!(server.stats().blob_sent < 3_000_000 + 1_500_000, "{action:?}");
    }
}

#[test]
fn a_download_begins_anywhere() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let bytes = noise(100_000, 2);
    let blob = blob_of(&bytes);
    server.put_blob("acme/app", bytes.clone());
    let client = client();
    assert_eq!(client.head_blob(&repository, &blob.digest).unwrap(), Some(100_000));
    for offset in [0, 1, 99_999, 100_000] {
        let body = client.open_blob(&repository, &blob, offset).unwrap();
        assert_eq!(drain(body).unwrap(), bytes[usize::try_from(offset).unwrap()..], "{offset}");
    }
    server.faults().add(Rule::new(Action::RangeIgnored));
    let body = client.open_blob(&repository, &blob, 40_000).unwrap();
    assert_eq!(drain(body).unwrap(), bytes[40_000..]);
}

#[test]
fn a_body_of_the_wrong_length_is_refused() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let bytes = noise(500_000, 3);
    server.put_blob("acme/app", bytes.clone());
    let client = client();
    let pull = || {
        let body = client.open_blob(&repository, &blob_of(&bytes), 0).map_err(store::Error::from)?;
        drain(body)
    };
    server.faults().add(Rule::new(Action::ShortBody(1000)));
    assert!(matches!(fault(pull().unwrap_err()), Error::ShortBody { expected: 500_000, .. }));
    server.faults().clear();
    server.faults().add(Rule::new(Action::EndlessBody));
    assert!(matches!(fault(pull().unwrap_err()), Error::TooLong { limit: 500_000, .. }));
    server.faults().clear();
    let wrong = Blob { size: 400_000, ..blob_of(&bytes) };
    let error = client.open_blob(&repository, &wrong, 0).map(drain);
    assert!(matches!(error, Err(Error::TooLong { limit: 400_000, .. })));
    server.faults().add(Rule::new(Action::Html(200)));
    assert!(matches!(fault(pull().unwrap_err()), Error::Malformed { .. }));
    server.faults().clear();
    server.faults().add(Rule::new(Action::StallResponse(1000)));
    assert!(matches!(fault(pull().unwrap_err()), Error::Stalled { .. }));
}

#[test]
fn a_redirect_elsewhere_carries_no_credentials() {
    let storage = server();
    let auth = Auth::Basic { user: "ann".into(), password: "secret".into() };
    let server = Server::start(Config { auth, ..Config::default() }).unwrap();
    let bytes = noise(200_000, 4);
    let digest = storage.put_blob("acme/app", bytes.clone());
    server.put_blob("acme/app", bytes.clone());
    let target = format!("http://{}/v2/acme/app/blobs/{digest}?signature=s3cr3t", storage.host());
    server.faults().add(Rule::new(Action::Redirect(target)).path("/blobs/"));
    let client = super::auth::with_login(options(), &server, "ann", "secret");
    client.ping(&server.host()).unwrap();
    let body = client.open_blob(&repository(&server, "acme/app"), &blob_of(&bytes), 0).unwrap();
    assert_eq!(drain(body).unwrap(), bytes);
    assert!(server.stats().lines.iter().any(|line| line.authorization.is_some()));
    let there = storage.stats().lines;
    assert!(!there.is_empty() && there.iter().all(|line| line.authorization.is_none()), "{there:?}");
}

#[test]
fn redirects_that_leave_safety_are_refused() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let bytes = noise(1000, 5);
    let digest = server.put_blob("acme/app", bytes.clone());
    let client = client();
    let round = format!("http://{}/v2/acme/app/blobs/{digest}?token=s3cr3t", server.host());
    for (target, wanted) in [
        ("http://storage.example/x?token=s3cr3t".to_owned(), "plain HTTP"),
        ("http://169.254.169.254/latest?token=s3cr3t".to_owned(), "redirect"),
        (format!("http://ann:s3cr3t@{}/x", server.host()), "redirect"),
        (round, "redirect"),
    ] {
        server.faults().clear();
        server.reset_stats();
        server.faults().add(Rule::new(Action::Redirect(target.clone())).method("GET"));
        let error = client.open_blob(&repository, &blob_of(&bytes), 0).unwrap_err();
        assert!(matches!(error, Error::RedirectRefused { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        assert!(server.stats().lines.len() <= 6, "{target}");
    }
}

#[test]
fn tags_are_all_there_is_or_nobody_says_so() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let (bytes, _) = manifest(&server, "acme/app", "v1");
    let put = |tag: &str| server.put_manifest("acme/app", Some(tag), (MANIFEST, bytes.clone())).unwrap();
    for number in 0..2300 {
        put(&format!("a{number}"));
    }
    let client = client();
    let beginning = |prefix: &str| client.tags_beginning(&repository, prefix).unwrap().map(|tags| tags.len());
    // What comes before is not listed, what comes after fits.
    assert_eq!((beginning("v1"), beginning("sha256-")), (Some(1), Some(0)));
    put("sha256-1.sig");
    for number in 0..2300 {
        put(&format!("t{number}"));
    }
    assert_eq!(beginning("sha256-"), Some(1), "more follow, but past these");
    assert_eq!(
        (beginning("t1"), beginning("sha256-2")),
        (None, None),
        "cut off, or none before what follows"
    );
    assert_eq!(server.stats().count("GET", Kind::Tags), 5);
}

#[test]
fn referrers_come_from_the_endpoint_or_the_fallback_tag() {
    for referrers in [true, false] {
        let server = Server::start(Config { referrers, ..Config::default() }).unwrap();
        let repository = repository(&server, "acme/app");
        let (subject, digest) = manifest(&server, "acme/app", "v1");
        let config = server.put_blob("acme/app", "{}");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"application/x-sig","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{}}}}}"#,
            subject.len()
        );
        let own = Digest::of(text.as_bytes());
        let client = client();
        let put =
            client.push_manifest(&repository, &Pointer::Digest(own), MANIFEST, &text.clone().into()).unwrap();
        assert_eq!((put.digest, put.subject_handled), (Some(own), referrers));
        if !referrers {
            assert!(client.referrers(&repository, &digest).unwrap().is_empty());
            let kind = "application/vnd.oci.image.index.v1+json";
            let index = format!(
                r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{{"mediaType":"{MANIFEST}","digest":"{own}","size":{}}}]}}"#,
                text.len()
            );
            let fallback = tag(&format!("sha256-{}", digest.hex()));
            client.push_manifest(&repository, &fallback, kind, &index.into()).unwrap();
        }
        let found = client.referrers(&repository, &digest).unwrap();
        assert_eq!(found.iter().map(|one| one.digest).collect::<Vec<_>>(), [own]);
    }
}

#[test]
fn a_proxy_is_used_for_other_machines() {
    let server = server();
    let (bytes, _) = manifest(&server, "acme/app", "v1");
    let proxies = Proxies {
        http: Some(format!("http://{}", server.host())),
        except: "other.example".into(),
        ..Proxies::default()
    };
    let plain_http = vec!["registry.example:80".to_owned()];
    let settings = Options { proxies, plain_http, ..options() };
    let client = Client::new(&settings, Arc::new(Recorder::default())).unwrap();
    let far = Repository::new("registry.example:80", "acme/app").unwrap();
    assert_eq!(client.manifest(&far, &tag("v1")).unwrap().bytes, bytes);
}
