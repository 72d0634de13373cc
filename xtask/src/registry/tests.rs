//! The registry, spoken to byte by byte.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;

/// What came back: status, headers as text, body; and whether the connection was reset under it.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    reset: bool,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends one request on a connection of its own. `headers` are whole lines.
fn ask(server: &Server, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    let announced = format!("Content-Length: {}", body.len());
    send(server, line, &[headers, &[announced.as_str()]].concat(), body)
}

fn send(server: &Server, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut head = format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.host());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let refused = stream.write_all(body).is_err();
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    let reset = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break refused,
            Ok(n) => raw.extend_from_slice(&buffer[..n]),
            Err(_) => break true,
        }
    };
    let cut = raw.windows(4).position(|w| w == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&raw[..cut]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head, body: raw[cut..].to_vec(), reset }
}

fn start() -> Server {
    Server::start(Config::default()).unwrap()
}

fn upload(server: &Server, repository: &str) -> String {
    let answer = ask(server, &format!("POST /v2/{repository}/blobs/uploads/"), &[], b"");
    assert_eq!(answer.status, 202);
    answer.header("location").unwrap().to_owned()
}

fn manifest(server: &Server, repository: &str, subject: Option<&str>) -> (String, Vec<u8>) {
    let config = server.put_blob(repository, &b"{}"[..]);
    let mut value = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [],
    });
    if let Some(subject) = subject {
        value["artifactType"] = "application/x-signature".into();
        value["subject"] = serde_json::json!({"mediaType": OCI, "digest": subject, "size": 1});
    }
    let bytes = value.to_string().into_bytes();
    (digest_of(&bytes), bytes)
}

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_TYPE: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_blob_goes_in_by_every_way_and_comes_out_whole_and_in_parts() {
    let server = start();
    let data = b"0123456789";
    let digest = digest_of(data);
    assert_eq!(ask(&server, "GET /v2/", &[], b"").status, 200);

    let one = ask(&server, &format!("POST /v2/a/b/blobs/uploads/?digest={digest}"), &[], data);
    assert_eq!((one.status, one.header("docker-content-digest")), (201, Some(digest.as_str())));

    let at = upload(&server, "c");
    assert_eq!(ask(&server, &format!("PUT {at}&digest={digest}"), &[], data).status, 201);

    let at = upload(&server, "d");
    let first = ask(&server, &format!("PATCH {at}"), &["Content-Range: 0-3"], &data[..4]);
    assert_eq!((first.status, first.header("range")), (202, Some("0-3")));
    let wrong = ask(&server, &format!("PATCH {at}"), &["Content-Range: 5-9"], &data[5..]);
    assert_eq!((wrong.status, wrong.header("range")), (416, Some("0-3")));
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").header("range"), Some("0-3"));
    let end = ask(&server, &format!("PUT {at}&digest={digest}"), &["Content-Range: 4-9"], &data[4..]);
    assert_eq!(end.status, 201);

    let mount = ask(&server, &format!("POST /v2/e/blobs/uploads/?mount={digest}&from=d"), &[], b"");
    assert_eq!(mount.status, 201);
    for repository in ["a/b", "c", "d", "e"] {
        let whole = ask(&server, &format!("GET /v2/{repository}/blobs/{digest}"), &[], b"");
        assert_eq!((whole.status, whole.body.as_slice()), (200, &data[..]));
    }
    let part = ask(&server, &format!("GET /v2/e/blobs/{digest}"), &["Range: bytes=3-"], b"");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 3-9/10")));
    assert_eq!(part.body, b"3456789");
    let head = ask(&server, &format!("HEAD /v2/e/blobs/{digest}"), &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    assert_eq!(ask(&server, &format!("GET /v2/other/blobs/{digest}"), &[], b"").status, 404);
    assert_eq!(server.stats().received[&digest], 30);
    assert_eq!(server.stats().sent[&digest], 47);
    assert_eq!(server.open_uploads(), 0);
}

#[test]
fn wrong_content_is_refused() {
    let server = start();
    let digest = digest_of(b"right");
    let at = upload(&server, "a");
    assert_eq!(ask(&server, &format!("PUT {at}&digest={digest}"), &[], b"wrong").status, 400);
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").status, 404);

    let (_, bytes) = manifest(&server, "a", None);
    assert_eq!(ask(&server, "PUT /v2/b/manifests/v1", &[OCI_TYPE], &bytes).status, 400, "config is missing");
    let other = format!("PUT /v2/a/manifests/{digest}");
    assert_eq!(ask(&server, &other, &[OCI_TYPE], &bytes).status, 400, "another digest");
    let large = vec![b' '; (4 << 20) + 1];
    assert_eq!(ask(&server, "PUT /v2/a/manifests/v1", &[OCI_TYPE], &large).status, 413);
    assert_eq!(ask(&server, "PUT /v2/a/manifests/v1", &["Content-Type: text/html"], &bytes).status, 400);
    assert_eq!(ask(&server, "PUT /v2/A/manifests/v1", &[OCI_TYPE], &bytes).status, 404, "no such name");
}

#[test]
fn manifests_tags_and_referrers() {
    let server = start();
    let (digest, bytes) = manifest(&server, "a", None);
    for tag in ["v1", "v2", "v3"] {
        let put = ask(&server, &format!("PUT /v2/a/manifests/{tag}"), &[OCI_TYPE], &bytes);
        assert_eq!((put.status, put.header("docker-content-digest")), (201, Some(digest.as_str())));
    }
    let got = ask(&server, "GET /v2/a/manifests/v2", &[&format!("Accept: {OCI}")], b"");
    assert_eq!((got.status, got.body.as_slice()), (200, bytes.as_slice()));
    assert_eq!(ask(&server, "GET /v2/a/manifests/v2", &["Accept: application/json"], b"").status, 404);

    let page = ask(&server, "GET /v2/a/tags/list?n=2", &[], b"");
    assert_eq!(page.body, br#"{"name":"a","tags":["v1","v2"]}"#);
    assert_eq!(page.header("link"), Some("</v2/a/tags/list?last=v2&n=2>; rel=\"next\""));
    let rest = ask(&server, "GET /v2/a/tags/list?last=v2&n=2", &[], b"");
    assert_eq!((rest.body.as_slice(), rest.header("link")), (&br#"{"name":"a","tags":["v3"]}"#[..], None));

    let (signature, bytes) = manifest(&server, "a", Some(&digest));
    let put = ask(&server, &format!("PUT /v2/a/manifests/{signature}"), &[OCI_TYPE], &bytes);
    assert_eq!(put.header("oci-subject"), Some(digest.as_str()));
    let list = ask(&server, &format!("GET /v2/a/referrers/{digest}"), &[], b"");
    assert!(String::from_utf8_lossy(&list.body).contains(&signature));
    let none = ask(&server, &format!("GET /v2/a/referrers/{digest}?artifactType=x"), &[], b"");
    assert!(!String::from_utf8_lossy(&none.body).contains(&signature));
    assert_eq!(none.header("oci-filters-applied"), Some("artifactType"));

    assert_eq!(ask(&server, "DELETE /v2/a/manifests/v1", &[], b"").status, 202);
    assert_eq!(ask(&server, "GET /v2/a/manifests/v1", &[], b"").status, 404);
    let off = Server::start(Config { referrers: false, ..Config::default() }).unwrap();
    assert_eq!(ask(&off, &format!("GET /v2/a/referrers/{digest}"), &[], b"").status, 404);
}

#[test]
fn a_torn_upload_keeps_what_came() {
    let server = start();
    let at = upload(&server, "a");
    server.faults().add(Rule::new(Action::ResetRequest(70_000)).method("PATCH").once());
    let data = vec![7; 200_000];
    assert!(ask(&server, &format!("PATCH {at}"), &[], &data).reset);
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").header("range"), Some("0-69999"));
    let digest = digest_of(&data);
    let end =
        ask(&server, &format!("PUT {at}&digest={digest}"), &["Content-Range: 70000-199999"], &data[70_000..]);
    assert_eq!(end.status, 201);

    // The client leaves of its own accord.
    let at = upload(&server, "a");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "PATCH {at} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfive!").unwrap();
    drop(stream);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").header("range"), Some("0-4"));
    assert_eq!(server.stats().blob_received, 200_005);
}

#[test]
fn answers_fail_as_asked() {
    let server = start();
    let data: Vec<u8> = (0..=255).collect();
    let digest = server.put_blob("a", data.clone());
    let line = format!("GET /v2/a/blobs/{digest}");
    let with = |action: Action| {
        server.faults().clear();
        server.faults().add(Rule::new(action).path("/blobs/").once());
        let answer = ask(&server, &line, &["Range: bytes=100-"], b"");
        assert_eq!(ask(&server, &line, &[], b"").body, data, "once is once");
        answer
    };
    let status = with(Action::Status(429, vec![("Retry-After".to_owned(), "7".to_owned())]));
    assert_eq!((status.status, status.header("retry-after")), (429, Some("7")));
    assert!(with(Action::Html(200)).body.starts_with(b"<!DOCTYPE html>"));
    let reset = with(Action::ResetResponse(10));
    assert!(reset.reset);
    assert_eq!((reset.status, reset.body.len(), reset.header("content-length")), (206, 10, Some("156")));
    let closed = with(Action::CloseResponse(10));
    assert_eq!((closed.reset, closed.body.len(), closed.header("content-length")), (false, 10, Some("156")));
    let short = with(Action::ShortBody(10));
    assert_eq!((short.body.len(), short.header("content-length")), (10, Some("10")));
    assert_eq!(with(Action::WrongBytes(1)).body[..3], [100, 100, 102]);
    let other = with(Action::WrongDigestHeader);
    assert_ne!(other.header("docker-content-digest"), Some(digest.as_str()));
    let redirect = with(Action::Redirect("http://127.0.0.1:1/x".to_owned()));
    assert_eq!((redirect.status, redirect.header("location")), (307, Some("http://127.0.0.1:1/x")));
    assert_eq!(with(Action::RangeIgnored).status, 200);
    assert!(with(Action::LoseAnswer).reset);
    assert_eq!(with(Action::Delay(Duration::from_millis(1))).status, 206);

    server.faults().clear();
    server.faults().add(Rule::new(Action::EndlessBody).once());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut buffer = vec![0; 1 << 20];
    stream.read_exact(&mut buffer).unwrap();
}

#[test]
fn requests_fail_as_asked() {
    let server = start();
    server.faults().add(Rule::new(Action::TooLarge(10)).method("PATCH"));
    let at = upload(&server, "a");
    assert_eq!(ask(&server, &format!("PATCH {at}"), &[], b"0123456789").status, 202);
    assert_eq!(ask(&server, &format!("PATCH {at}"), &[], b"0123456789a").status, 413);
    let chunked = send(
        &server,
        &format!("PATCH {at}"),
        &["Transfer-Encoding: chunked"],
        b"b\r\n0123456789a\r\n0\r\n\r\n",
    );
    assert_eq!(chunked.status, 413);
    server.faults().clear();
    server.faults().add(Rule::new(Action::ForgetSession).skip(1).once());
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").status, 204);
    assert_eq!(ask(&server, &format!("GET {at}"), &[], b"").status, 404);
    server.faults().clear();
    server.faults().add(Rule::new(Action::OmitLocation).once());
    assert_eq!(ask(&server, "POST /v2/a/blobs/uploads/", &[], b"").header("location"), None);
    server.faults().add(Rule::new(Action::Stall).once());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 1]).is_err(), "no answer, and no end");
}

#[test]
fn basic_authentication() {
    let auth = Auth::Basic { user: "u".to_owned(), password: "p:w".to_owned() };
    let server = Server::start(Config { auth, ..Config::default() }).unwrap();
    let refused = ask(&server, "GET /v2/", &[], b"");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"registry\"")));
    assert_eq!(ask(&server, "GET /v2/", &["Authorization: Basic dTpwOnc="], b"").status, 200);
    assert_eq!(ask(&server, "GET /v2/", &["Authorization: Basic dTpwOng="], b"").status, 401);
}

#[test]
fn tokens_are_scoped_and_run_out() {
    let auth = TokenAuth {
        user: Some(("u".to_owned(), "p".to_owned())),
        anonymous_pull: true,
        identity: Some("refresh-me".to_owned()),
        seconds: 300,
        requests: Some(2),
    };
    let server = Server::start(Config { auth: Auth::Token(auth), ..Config::default() }).unwrap();
    let digest = server.put_blob("a", &b"x"[..]);
    let line = format!("POST /v2/b/blobs/uploads/?mount={digest}&from=a");
    let refused = ask(&server, &line, &[], b"");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"repository:b:pull,push repository:a:pull\""), "{challenge}");

    let token = |answer: Answer| {
        assert_eq!(answer.status, 200);
        let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Authorization: Bearer {}", value["token"].as_str().unwrap())
    };
    let scopes = "scope=repository%3Ab%3Apull,push&scope=repository:a:pull";
    let anonymous = token(ask(&server, &format!("GET /token?{scopes}"), &[], b""));
    let lacking = ask(&server, &line, &[&anonymous], b"");
    assert!(lacking.header("www-authenticate").unwrap().contains("insufficient_scope"));
    let full = token(ask(&server, &format!("GET /token?{scopes}"), &["Authorization: Basic dTpw"], b""));
    assert_eq!(ask(&server, &line, &[&full], b"").status, 201);
    assert_eq!(ask(&server, &line, &[&full], b"").status, 201);
    let spent = ask(&server, &line, &[&full], b"");
    assert!(spent.header("www-authenticate").unwrap().contains("invalid_token"));

    let form = format!("grant_type=refresh_token&service=registry&refresh_token=refresh-me&{scopes}");
    let exchanged = token(ask(&server, "POST /token", &[], form.as_bytes()));
    assert_eq!(ask(&server, &line, &[&exchanged], b"").status, 201);
    assert_eq!(ask(&server, "POST /token", &[], b"grant_type=refresh_token&refresh_token=no").status, 401);
    assert_eq!(ask(&server, "GET /token?scope=x", &["Authorization: Basic dTpx"], b"").status, 401);
    server.expire_tokens();
    assert_eq!(ask(&server, &line, &[&exchanged], b"").status, 401);
}

#[test]
fn other_storages() {
    let folder = tempfile::tempdir().unwrap();
    let data = vec![3; 1_000_000];
    let digest = digest_of(&data);
    let storage = Storage::Folder(folder.path().to_owned());
    let server = Server::start(Config { storage, ..Config::default() }).unwrap();
    let at = upload(&server, "a");
    assert_eq!(ask(&server, &format!("PUT {at}&digest={digest}"), &[], &data).status, 201);
    let part = ask(&server, &format!("GET /v2/a/blobs/{digest}"), &["Range: bytes=999998-"], b"");
    assert_eq!((part.status, part.body), (206, vec![3, 3]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let sink = Server::start(Config { storage: Storage::Discard, ..Config::default() }).unwrap();
    let at = upload(&sink, "a");
    assert_eq!(ask(&sink, &format!("PUT {at}&digest={digest}"), &[], &data).status, 201);
    let head = ask(&sink, &format!("HEAD /v2/a/blobs/{digest}"), &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("1000000")));
    assert_eq!(sink.stats().blob_received, 1_000_000);
}

#[test]
fn what_is_dropped_unseen_ends_where_the_body_ends() {
    let sink = Server::start(Config { storage: Storage::Discard, ..Config::default() }).unwrap();
    let body = vec![b'\n'; 5_000_001];
    let digest = digest_of(b"taken on trust");
    let mut stream = TcpStream::connect(sink.address()).unwrap();
    for _ in 0..3 {
        let head = format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(&body).unwrap();
    }
    write!(stream, "HEAD /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 201").count(), 3, "{answers}");
    assert!(answers.contains("content-length: 5000001"), "{answers}");
    assert_eq!(sink.stats().blob_received, 15_000_003);
}
