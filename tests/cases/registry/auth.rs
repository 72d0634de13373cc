//! Saying who we are: basic and token authentication, and what is never shown to whom.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle::registry::{BlobPush, Client, Error, NoNotes, Options, Pushed};
use xtask::registry::{Action, Auth, Config, Rule, Server, TokenAuth};

use super::*;

/// A client that finds this login in a Docker configuration.
pub(super) fn with_login(settings: Options, server: &Server, user: &str, password: &str) -> Client {
    let entry = format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(format!("{user}:{password}")));
    with_entry(settings, server, &entry)
}

fn with_entry(settings: Options, server: &Server, entry: &str) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.host())).unwrap();
    let settings = Options { credential_files: vec![path], ..settings };
    let client = Client::new(&settings, Arc::new(Recorder::default())).unwrap();
    // Credentials are looked for once; the answer does not matter here.
    let _ = client.ping(&server.host());
    server.reset_stats();
    client
}

fn basic() -> Server {
    let auth = Auth::Basic { user: "ann".into(), password: "pa:ss".into() };
    Server::start(Config { auth, ..Config::default() }).unwrap()
}

fn token(auth: TokenAuth) -> Server {
    let user = Some(("ann".to_owned(), "pa:ss".to_owned()));
    Server::start(Config { auth: Auth::Token(TokenAuth { user, ..auth }), ..Config::default() }).unwrap()
}

#[test]
fn a_login_opens_and_a_wrong_one_is_said_to_be_wrong() {
    for server in [basic(), token(TokenAuth::default())] {
        manifest(&server, "acme/app", "v1");
        let repository = repository(&server, "acme/app");
        with_login(options(), &server, "ann", "pa:ss").manifest(&repository, &tag("v1")).unwrap();
        for (client, who) in [(with_login(options(), &server, "ann", "wr0ng"), "wrong"), (client(), "nobody")]
        {
            for result in [
                client.manifest(&repository, &tag("v1")).map(|_| ()),
                client.head_manifest(&repository, &tag("v1")).map(|_| ()),
                client.push_manifest(&repository, &tag("v1"), MANIFEST, &"{}".into()).map(|_| ()),
            ] {
                let error = result.unwrap_err();
                assert!(matches!(error, Error::Unauthorized { .. }), "{who}: {error}");
                assert!(!error.to_string().contains("wr0ng"), "{error}");
            }
        }
    }
}

#[test]
fn a_wrong_password_never_becomes_an_anonymous_pull() {
    let server = token(TokenAuth { anonymous_pull: true, ..TokenAuth::default() });
    manifest(&server, "acme/app", "v1");
    let repository = repository(&server, "acme/app");
    client().manifest(&repository, &tag("v1")).unwrap();
    let error = with_login(options(), &server, "ann", "wr0ng").manifest(&repository, &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    let error = client().push_manifest(&repository, &tag("v2"), MANIFEST, &"{}".into()).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. } | Error::Denied { .. }), "{error}");
}

#[test]
fn an_identity_token_is_exchanged() {
    let server = token(TokenAuth { identity: Some("refresh-me".into()), ..TokenAuth::default() });
    manifest(&server, "acme/app", "v1");
    let repository = repository(&server, "acme/app");
    let client = with_entry(options(), &server, r#"{"auth":"","identitytoken":"refresh-me"}"#);
    client.manifest(&repository, &tag("v1")).unwrap();
    assert!(server.stats().request_lines().iter().any(|line| line == "POST /token"));
    let client = with_entry(options(), &server, r#"{"auth":"","identitytoken":"stale"}"#);
    assert!(matches!(client.manifest(&repository, &tag("v1")), Err(Error::Unauthorized { .. })));
    // An issuer without the exchange is asked the old way, with the token as a password.
    let user = Some((String::new(), "refresh-me".to_owned()));
    let auth = Auth::Token(TokenAuth { user, ..TokenAuth::default() });
    let server = Server::start(Config { auth, ..Config::default() }).unwrap();
    manifest(&server, "acme/app", "v1");
    let repository = super::repository(&server, "acme/app");
    server.faults().add(Rule::new(Action::Status(404, Vec::new())).method("POST").path("/token"));
    let client = with_entry(options(), &server, r#"{"auth":"","identitytoken":"refresh-me"}"#);
    client.manifest(&repository, &tag("v1")).unwrap();
}

#[test]
fn tokens_are_kept_and_renewed() {
    let server = token(TokenAuth::default());
    manifest(&server, "acme/app", "v1");
    let repository = repository(&server, "acme/app");
    let client = with_login(options(), &server, "ann", "pa:ss");
    let tokens = || server.stats().lines.iter().filter(|line| line.path.starts_with("/token")).count();
    for _ in 0..5 {
        client.manifest(&repository, &tag("v1")).unwrap();
    }
    assert_eq!(tokens(), 1);
    server.expire_tokens();
    client.manifest(&repository, &tag("v1")).unwrap();
    assert_eq!(tokens(), 2);
    server.faults().add(Rule::new(Action::ExpireTokens).path("/manifests/"));
    let error = client.manifest(&repository, &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
}

#[test]
fn a_token_that_runs_out_in_mid_transfer_is_renewed() {
    let server = token(TokenAuth { requests: Some(2), ..TokenAuth::default() });
    let repository = repository(&server, "acme/app");
    let bytes = noise(5 << 20, 7);
    let client = with_login(Options { upload_window: Some(1 << 20), ..options() }, &server, "ann", "pa:ss");
    let push = BlobPush {
        repository: &repository,
        blob: blob_of(&bytes),
        from: &Held::new(&bytes),
        mount_from: &[],
        notes: &NoNotes,
    };
    client.push_blob(&push).unwrap();
    assert_eq!(server.blob(&push.blob.digest.to_string()).unwrap(), bytes);
    server.faults().add(Rule::new(Action::ResetResponse(1 << 20)).times(3));
    let body = client.open_blob(&repository, &push.blob, 0).unwrap();
    assert_eq!(drain(body).unwrap(), bytes);
}

#[test]
fn a_mount_asks_for_both_repositories() {
    let server = token(TokenAuth::default());
    let (one, two) = (repository(&server, "acme/one"), repository(&server, "acme/two"));
    let bytes = noise(1000, 8);
    server.put_blob("acme/one", bytes.clone());
    let client = with_login(options(), &server, "ann", "pa:ss");
    let held = Held::new(&bytes);
    let push = BlobPush {
        repository: &two,
        blob: blob_of(&bytes),
        from: &held,
        mount_from: std::slice::from_ref(&one),
        notes: &NoNotes,
    };
    assert_eq!(client.push_blob(&push).unwrap(), Pushed::Mounted);
    assert_eq!(held.given(), 0);
}

#[test]
fn a_strange_token_issuer_is_not_trusted() {
    let server = server();
    let repository = repository(&server, "acme/app");
    for realm in [
        "http://169.254.169.254/token",
        "http://metadata.google.internal/token",
        "http://issuer.example/token",
        "https://ann:secret@issuer.example/token",
        "ftp://issuer.example/token",
    ] {
        let client = with_login(options(), &server, "ann", "pa:ss");
        let challenge = format!("Bearer realm=\"{realm}?x=s3cr3t\",service=\"s\"");
        server.faults().clear();
        server.faults().add(Rule::new(Action::Status(401, vec![("WWW-Authenticate".into(), challenge)])));
        let error = client.manifest(&repository, &tag("v1")).unwrap_err();
        assert!(matches!(error, Error::RealmRefused { .. }), "{realm}: {error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
    server.faults().clear();
    let negotiate = vec![("WWW-Authenticate".to_owned(), "Negotiate".to_owned())];
    server.faults().add(Rule::new(Action::Status(401, negotiate)));
    let error = client().manifest(&repository, &tag("v1")).unwrap_err();
    assert!(error.to_string().contains("negotiate"), "{error}");
}

#[test]
fn plain_http_to_another_machine_is_never_tried() {
    let far = Repository::new("192.0.2.1:5000", "acme/app").unwrap();
    let settings = Options { attempts: 1, ..options() };
    let client = Client::new(&settings, Arc::new(Recorder::default())).unwrap();
    let error = client.manifest(&far, &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. } | Error::Stalled { .. }), "{error}");
}
