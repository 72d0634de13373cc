//! Writing: mounts, streams, windows, and uploads that break.

use std::path::PathBuf;
use std::sync::Arc;

use bundle::oci::Repository;
use bundle::registry::{BlobPush, Client, Error, NoNotes, Options, Pushed, UploadNotes};
use xtask::registry::{Action, Auth, Config, Rule, Server};

use super::*;

const MIB: usize = 1 << 20;

fn order<'a>(repository: &'a Repository, from: &'a Held, notes: &'a dyn UploadNotes) -> BlobPush<'a> {
    BlobPush { repository, blob: blob_of(&from.bytes), from, mount_from: &[], notes }
}

fn windows(bytes: u64) -> Client {
    let settings = Options { upload_window: Some(bytes), ..options() };
    Client::new(&settings, Arc::new(Recorder::default())).unwrap()
}

fn ranges(server: &Server) -> Vec<String> {
    let patches = server.stats().lines.into_iter().filter(|line| line.method == "PATCH");
    patches.filter_map(|line| line.content_range).collect()
}

#[test]
fn a_blob_goes_in_one_stream() {
    for absolute_location in [false, true] {
        let server = Server::start(Config { absolute_location, ..Config::default() }).unwrap();
        let repository = repository(&server, "acme/app");
        let client = client();
        for length in [0, 1, 299_999, 9 * MIB + 17] {
            let bytes = noise(length, 1);
            server.reset_stats();
            let held = Held::new(&bytes);
            let push = order(&repository, &held, &NoNotes);
            let pushed = client.push_blob(&push).unwrap();
            assert_eq!(pushed, Pushed::Sent { bytes: length as u64, resumed_at: 0 });
            assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), bytes);
            assert_eq!(server.stats().lines.len(), 2, "{:?}", server.stats().request_lines());
            assert_eq!(held.given(), length as u64);
        }
        assert_eq!(server.open_uploads(), 0);
    }
}

#[test]
fn windows_hold_to_the_size_and_the_registrys_least() {
    let server = Server::start(Config { chunk_min: Some(2 << 20), ..Config::default() }).unwrap();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(5 * MIB, 2));
    windows(MIB as u64).push_blob(&order(&repository, &held, &NoNotes)).unwrap();
    assert_eq!(ranges(&server), ["0-2097151", "2097152-4194303", "4194304-5242879"]);
    assert_eq!(held.given(), 5 * MIB as u64);
}

#[test]
fn a_blob_is_mounted_where_it_can_be() {
    let bytes = noise(MIB, 3);
    for mount in [true, false] {
        let server = Server::start(Config { mount, ..Config::default() }).unwrap();
        server.put_blob("acme/one", bytes.clone());
        let target = repository(&server, "acme/two");
        let sources = [
            Repository::new("elsewhere.example", "acme/one").unwrap(),
            target.clone(),
            repository(&server, "acme/one"),
        ];
        let held = Held::new(&bytes);
        let push = BlobPush { mount_from: &sources, ..order(&target, &held, &NoNotes) };
        let pushed = client().push_blob(&push).unwrap();
        if mount {
            assert_eq!(pushed, Pushed::Mounted);
            assert_eq!(held.given(), 0);
        } else {
            assert_eq!(pushed, Pushed::Sent { bytes: MIB as u64, resumed_at: 0 });
            assert_eq!(server.stats().lines.len(), 2, "the session of the mount is used");
        }
        assert!(server.has_blob("acme/two", &push.blob.digest.to_string()));
    }
}

#[test]
fn a_refused_mount_only_means_that_bytes_are_sent() {
    let server = server();
    let (one, two) = (repository(&server, "acme/one"), repository(&server, "acme/two"));
    server.faults().add(Rule::new(Action::Status(403, Vec::new())).path("mount="));
    let held = Held::new(&noise(MIB, 4));
    let push = BlobPush { mount_from: &[one], ..order(&two, &held, &NoNotes) };
    assert_eq!(client().push_blob(&push).unwrap(), Pushed::Sent { bytes: MIB as u64, resumed_at: 0 });
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    let length = 12 * MIB as u64;
    for (action, least_saved) in [
        (Action::ResetRequest(8 << 20), 6 << 20),
        (Action::StallRequest(8 << 20), 0),
        (Action::Status(503, Vec::new()), 0),
        (Action::ForgetSession, 0),
    ] {
        let server = server();
        let repository = repository(&server, "acme/app");
        let held = Held::new(&noise(12 * MIB, 5));
        server.faults().add(Rule::new(action.clone()).method("PUT").once());
        let push = order(&repository, &held, &NoNotes);
        client().push_blob(&push).unwrap_or_else(|error| panic!("{action:?}: {error}"));
        assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), held.bytes, "{action:?}");
        let received = server.stats().blob_received;
        assert!(received <= 2 * length - least_saved, "{action:?}: {received}");
    }
}

#[test]
fn a_killed_process_is_taken_up() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(12 * MIB, 6));
    let notes = Notes::default();
    let push = order(&repository, &held, &notes);
    // A process that dies asks no more questions: one attempt, and the session stays.
    server.faults().add(Rule::new(Action::ResetRequest(8 << 20)).method("PUT").once());
    let settings = Options { attempts: 1, ..options() };
    let first = Client::new(&settings, Arc::new(Recorder::default())).unwrap();
    assert!(first.push_blob(&push).is_err());
    assert_eq!((notes.count(), server.open_uploads()), (1, 1));
    let Pushed::Sent { bytes, resumed_at } = client().push_blob(&push).unwrap() else { panic!() };
    assert!(resumed_at >= 6 << 20, "{resumed_at}");
    assert_eq!(bytes, 12 * MIB as u64 - resumed_at);
    assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), held.bytes);
    assert_eq!(notes.count(), 0);
    // A note of a session that is gone costs nothing but a question.
    let stale = bundle::registry::Session {
        location: format!("http://{}/v2/acme/app/blobs/uploads/gone?state=x", server.host()),
        started: 0,
    };
    server.wipe();
    notes.save(&repository, &push.blob.digest, &stale);
    let pushed = client().push_blob(&push).unwrap();
    assert_eq!(pushed, Pushed::Sent { bytes: 12 * MIB as u64, resumed_at: 0 });
}

#[test]
fn what_is_too_large_goes_in_smaller_windows() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(10 * MIB, 7));
    server.faults().add(Rule::new(Action::TooLarge(5 << 20)));
    let push = order(&repository, &held, &NoNotes);
    client().push_blob(&push).unwrap();
    assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), held.bytes);
    let taken = ranges(&server);
    assert!(taken.contains(&"0-4194303".to_owned()), "{taken:?}");
}

#[test]
fn a_registry_without_sessions_gets_one_post() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(200_000, 8));
    server.faults().add(Rule::new(Action::Status(405, Vec::new())).method("PUT"));
    server.faults().add(Rule::new(Action::Status(405, Vec::new())).method("PATCH"));
    let push = order(&repository, &held, &NoNotes);
    client().push_blob(&push).unwrap();
    assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), held.bytes);
    assert!(server.stats().request_lines().iter().any(|line| line.contains("/uploads/?digest=")));
}

#[test]
fn a_registry_without_windows_gets_the_whole_again() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(3 * MIB, 9));
    server.faults().add(Rule::new(Action::ResetRequest(1 << 20)).method("PUT").once());
    server.faults().add(Rule::new(Action::Status(405, Vec::new())).method("PATCH"));
    let push = order(&repository, &held, &NoNotes);
    client().push_blob(&push).unwrap();
    assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), held.bytes);
}

#[test]
fn an_answer_that_is_lost_is_not_a_blob_that_is() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(3 * MIB, 10));
    server.faults().add(Rule::new(Action::LoseAnswer).method("PUT").once());
    let pushed = client().push_blob(&order(&repository, &held, &NoNotes)).unwrap();
    assert_eq!(pushed, Pushed::Sent { bytes: 3 * MIB as u64, resumed_at: 0 });
}

#[test]
fn a_source_that_fails_leaves_nothing_behind() {
    fn damaged() -> store::Error {
        store::Error::Malformed { path: PathBuf::from("volume"), why: "damaged".into() }
    }
    fn interrupted() -> store::Error {
        store::Error::Interrupted
    }
    for (error, sessions) in [(damaged as fn() -> store::Error, 0), (interrupted, 1)] {
        for client in [client(), windows(4 << 20)] {
            let server = server();
            let repository = repository(&server, "acme/app");
            let mut held = Held::new(&noise(9 * MIB, 11));
            held.breaks = Some((8 << 20, error));
            let notes = Notes::default();
            let push = order(&repository, &held, &notes);
            let got = client.push_blob(&push).unwrap_err();
            assert!(!matches!(got, store::Error::Registry(_)), "{got}");
            assert!(!server.has_blob("acme/app", &push.blob.digest.to_string()));
            assert_eq!((server.open_uploads(), notes.count()), (sessions, sessions), "{got}");
        }
    }
}

#[test]
fn a_source_of_the_wrong_length_is_refused() {
    struct Wrong(Held);
    impl Source for Wrong {
        fn open<'a>(&'a self, _: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
            self.0.open(&blob_of(&self.0.bytes), offset)
        }
    }
    let server = server();
    let repository = repository(&server, "acme/app");
    let bytes = noise(MIB, 12);
    for size in [0, MIB as u64 - 1, MIB as u64 + 1] {
        let from = Wrong(Held::new(&bytes));
        let blob = Blob { size, ..blob_of(&bytes) };
        let push = BlobPush { repository: &repository, blob, from: &from, mount_from: &[], notes: &NoNotes };
        let error = fault(client().push_blob(&push).unwrap_err());
        assert!(matches!(error, Error::UnevenSource { .. }), "{size}: {error}");
        assert!(!server.has_blob("acme/app", &blob.digest.to_string()));
    }
}

#[test]
fn what_the_registry_holds_must_be_what_was_sent() {
    let server = server();
    let repository = repository(&server, "acme/app");
    server.faults().add(Rule::new(Action::WrongDigestHeader).method("PUT"));
    let held = Held::new(&noise(1000, 13));
    let error = fault(client().push_blob(&order(&repository, &held, &NoNotes)).unwrap_err());
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    let (bytes, digest) = manifest(&server, "acme/app", "v1");
    let error = client().push_manifest(&repository, &tag("v2"), MANIFEST, &bytes).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    server.faults().clear();
    server.faults().add(Rule::new(Action::OmitLocation));
    let put = client().push_manifest(&repository, &tag("v2"), MANIFEST, &bytes).unwrap();
    assert_eq!(put.digest, Some(digest));
}

#[test]
fn refusals_say_what_the_registry_said() {
    let server = server();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(1000, 14));
    server.faults().add(Rule::new(Action::Status(403, Vec::new())));
    let error = fault(client().push_blob(&order(&repository, &held, &NoNotes)).unwrap_err());
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    server.faults().clear();
    server.faults().add(Rule::new(Action::Html(200)));
    let error = fault(client().push_blob(&order(&repository, &held, &NoNotes)).unwrap_err());
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[test]
fn an_upload_that_goes_on_elsewhere_carries_no_credentials() {
    let (storage, auth) = (server(), Auth::Basic { user: "ann".into(), password: "secret".into() });
    let server = Server::start(Config { auth, ..Config::default() }).unwrap();
    let at = format!("http://{}/v2/acme/app/blobs/uploads/elsewhere?signature=s3cr3t", storage.host());
    let begun = Action::Status(202, vec![("Location".into(), at)]);
    server.faults().add(Rule::new(begun).method("POST").path("/blobs/uploads/"));
    storage.faults().add(Rule::new(Action::Status(201, vec![])).method("PUT"));
    let client = super::auth::with_login(options(), &server, "ann", "secret");
    // The registry is logged in to, so that there is something to give away.
    client.ping(&server.host()).unwrap();
    let repository = repository(&server, "acme/app");
    let held = Held::new(&noise(1000, 12));
    let pushed = client.push_blob(&order(&repository, &held, &NoNotes)).unwrap();
    assert_eq!(pushed, Pushed::Sent { bytes: 1000, resumed_at: 0 });
    let small = noise(1000, 13);
    client.push_small(&repository, &Digest::of(&small), &small).unwrap();
    assert!(server.stats().lines.iter().any(|line| line.authorization.is_some()));
    let there = storage.stats().lines;
    assert!(there.len() >= 2 && there.iter().all(|line| line.authorization.is_none()), "{there:?}");
}
