//! The distribution specification, endpoint by endpoint.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bundle::digest::Digest;
use xtask::images::Seed;

use super::{Serving, Site};

#[test]
fn every_manifest_and_blob_comes_byte_for_byte() {
    let site = Site::new("volume-size: 2MiB\n");
    let serving = site.serving(&[]);
    assert_eq!(serving.get("/v2/").status, 200);
    for image in &site.images {
        let base = format!("/v2/{}", image.repository);
        let root = image.graph.root();
        for reference in [image.tag.as_str(), &root.digest] {
            let path = format!("{base}/manifests/{reference}");
            let reply = serving.get(&path);
            assert_eq!((reply.status, &reply.body[..]), (200, &root.bytes[..]), "{path}");
            assert_eq!(reply.header("content-type"), Some(root.media_type));
            assert_eq!(reply.header("docker-content-digest"), Some(root.digest.as_str()));
            let head = serving.ask("HEAD", &path, &[]);
            assert_eq!((head.status, head.body.len()), (200, 0));
            assert_eq!(head.header("content-length"), reply.header("content-length"));
            assert_eq!(head.header("content-type"), reply.header("content-type"));
        }
        for document in &image.graph.documents {
            assert_eq!(serving.get(&format!("{base}/manifests/{}", document.digest)).body, document.bytes);
        }
        for (digest, bytes) in &image.graph.blobs {
            let path = format!("{base}/blobs/{digest}");
            let reply = serving.get(&path);
            assert!(reply.status == 200 && reply.body == *bytes, "{path}");
            assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()));
            let head = serving.ask("HEAD", &path, &[]);
            let length = bytes.len().to_string();
            assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
        }
    }
    let (code, _) = serving.stop();
    assert_eq!(code, Some(0));
}

/// A blob of a good size in the sample.
fn large(site: &Site) -> (String, Vec<u8>) {
    let image = site.images.iter().find(|image| image.repository.ends_with("vllm-openai")).unwrap();
    let (digest, bytes) = image.graph.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    (format!("/v2/{}/blobs/{digest}", image.repository), bytes.to_vec())
}

#[test]
fn any_part_of_a_blob_can_be_asked_for() {
    for settings in ["volume-size: 2MiB\n", "seal: none\nvolume-size: 2MiB\n"] {
        let site = Site::new(settings);
        let serving = site.serving(&[]);
        let (path, bytes) = large(&site);
        let size = bytes.len();
        assert!(size > 3 << 20);
        let mut cases = vec![(0, 1), (0, size), (size - 1, size), (65_535, 65_537), (1 << 20, 3 << 20)];
        let mut seed = Seed::of("ranges");
        for _ in 0..60 {
            let from = usize::try_from(seed.below(size as u64)).unwrap();
            let length = usize::try_from(seed.below(300_000)).unwrap() + 1;
            cases.push((from, (from + length).min(size)));
        }
        for (from, to) in cases {
            let reply = serving.ask("GET", &path, &[("Range", &format!("bytes={from}-{}", to - 1))]);
            assert_eq!(reply.status, 206);
            let range = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(reply.header("content-range"), Some(range.as_str()));
            assert!(reply.body == bytes[from..to], "{from} to {to}");
        }
        let rest = serving.ask("GET", &path, &[("Range", &format!("bytes={}-", size - 10))]);
        assert!(rest.status == 206 && rest.body == bytes[size - 10..]);
        let last = serving.ask("GET", &path, &[("Range", "bytes=-7")]);
        assert!(last.status == 206 && last.body == bytes[size - 7..]);
        let outside = serving.ask("GET", &path, &[("Range", &format!("bytes={size}-"))]);
        assert_eq!(outside.status, 416);
        assert_eq!(outside.header("content-range"), Some(format!("bytes */{size}").as_str()));
        let other = [("Range", "bytes=0-9"), ("If-Range", "\"sha256:00\"")];
        assert_eq!(serving.ask("GET", &path, &other).status, 200);
    }
}

#[test]
fn lists_are_paged() {
    let site = Site::new("");
    let serving = site.serving(&[]);
    let names = serving.get("/v2/_catalog").json()["repositories"].clone();
    let names: Vec<String> = serde_json::from_value(names).unwrap();
    let mut expected: Vec<String> = site.images.iter().map(|image| image.repository.clone()).collect();
    expected.sort();
    assert_eq!(names, expected);
    let mut paged = Vec::new();
    let mut next = Some("/v2/_catalog?n=3".to_owned());
    while let Some(path) = next {
        let reply = serving.get(&path);
        let page: Vec<String> = serde_json::from_value(reply.json()["repositories"].clone()).unwrap();
        assert!(page.len() <= 3);
        paged.extend(page);
        let link = reply.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        assert!(link.is_none() || reply.header("link").unwrap().ends_with("rel=\"next\""));
        next = link;
    }
    assert_eq!(paged, expected);
    let tags = serving.get("/v2/incidentfox/agent/tags/list").json();
    assert_eq!(tags, serde_json::json!({"name": "incidentfox/agent", "tags": ["v1.2.0"]}));
    let none = serving.get("/v2/incidentfox/agent/tags/list?n=0");
    assert_eq!((none.json()["tags"].as_array().unwrap().len(), none.header("link")), (0, None));
    assert_eq!(serving.get("/v2/incidentfox/agent/tags/list?last=v9").json()["tags"], serde_json::json!([]));
    assert_eq!(serving.get("/v2/incidentfox/agent/tags/list?n=-1").code(), "PAGINATION_NUMBER_INVALID");
}

#[test]
fn what_is_not_there_is_said_in_the_form_of_the_specification() {
    let site = Site::new("");
    let serving = site.serving(&[]);
    let nothing = Digest::of(b"nothing");
    for (method, path, status, code) in [
        ("GET", "/v2/no/such/manifests/v1".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", "/v2/no/such/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", "/v2/incidentfox/agent/manifests/v9".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("/v2/incidentfox/agent/manifests/{nothing}"), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("/v2/incidentfox/agent/blobs/{nothing}"), 404, "BLOB_UNKNOWN"),
        ("GET", format!("/v2/no/such/blobs/{nothing}"), 404, "NAME_UNKNOWN"),
        ("GET", "/v2/incidentfox/agent/blobs/sha256:zz".to_owned(), 400, "DIGEST_INVALID"),
        ("GET", "/v2/incidentfox/agent/manifests/-".to_owned(), 400, "TAG_INVALID"),
        ("GET", "/".to_owned(), 404, "NAME_INVALID"),
        ("POST", "/v2/incidentfox/agent/blobs/uploads/".to_owned(), 405, "UNSUPPORTED"),
        ("PUT", "/v2/incidentfox/agent/manifests/v1".to_owned(), 405, "UNSUPPORTED"),
        ("PATCH", "/v2/incidentfox/agent/blobs/uploads/1".to_owned(), 405, "UNSUPPORTED"),
        ("DELETE", format!("/v2/incidentfox/agent/blobs/{nothing}"), 405, "UNSUPPORTED"),
        ("GET", "/v2/incidentfox/agent/manifests/v1.2.0?ns=quay.io".to_owned(), 404, "NAME_UNKNOWN"),
    ] {
        let reply = serving.ask(method, &path, &[]);
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    let referrers = serving.get(&format!("/v2/incidentfox/agent/referrers/{nothing}"));
    assert_eq!((referrers.status, referrers.json()["manifests"].as_array().unwrap().len()), (200, 0));
    assert_eq!(referrers.header("oci-filters-applied"), None);
    let filtered = serving.get(&format!("/v2/incidentfox/agent/referrers/{nothing}?artifactType=a/b"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
}

#[test]
fn a_mirror_is_asked_by_the_vendors_name_whatever_it_is_called_here() {
    let site = Site::new("");
    let serving = site.serving(&["--map", "docker.io/incidentfox=fox", "--flatten"]);
    let names = serving.get("/v2/_catalog").json()["repositories"].to_string();
    assert!(names.contains("\"fox-agent\""), "{names}");
    assert_eq!(serving.get("/v2/fox-agent/manifests/v1.2.0").status, 200);
    assert_eq!(serving.get("/v2/incidentfox/agent/manifests/v1.2.0").status, 404);
    assert_eq!(serving.get("/v2/incidentfox/agent/manifests/v1.2.0?ns=docker.io").status, 200);
    assert_eq!(serving.get("/v2/incidentfox/agent/tags/list?ns=docker.io&n=1").status, 200);
    assert_eq!(serving.get("/v2/fox-agent/manifests/v1.2.0?ns=docker.io").status, 404);
}

#[test]
fn requests_are_told_one_by_one_and_a_stop_waits_for_those_under_way() {
    let site = Site::new("");
    let serving = site.serving(&[]);
    let (path, bytes) = large(&site);
    serving.get("/v2/");
    serving.get(&path);
    let log = serving.log(2);
    assert_eq!(
        (&log[0]["method"], &log[0]["target"], &log[0]["status"]),
        (&"GET".into(), &"/v2/".into(), &200.into())
    );
    assert_eq!((&log[1]["target"], &log[1]["bytes"]), (&path.as_str().into(), &bytes.len().into()));
    assert!(log[1]["left"] == false && log[1].get("fault").is_none());

    // A client that takes its time is not cut by a stop.
    let host = serving.host();
    let stream = std::net::TcpStream::connect(&host).unwrap();
    let slow = slow_get(stream, &path);
    serving.log.lock().unwrap().clear();
    let stopping = std::thread::spawn(move || serving.stop());
    std::thread::sleep(Duration::from_millis(300));
    assert!(std::net::TcpStream::connect(&host).is_err(), "it takes new connections while it stops");
    assert_eq!(slow(), bytes.len());
    let (code, log) = stopping.join().unwrap();
    assert_eq!(code, Some(0), "{log:?}");
    assert!(log.iter().any(|line| line.to_string().contains("no request was cut")), "{log:?}");
}

/// Begins a download and gives what ends it, and counts the bytes of its body.
fn slow_get(mut stream: std::net::TcpStream, path: &str) -> impl FnOnce() -> usize {
    use std::io::{Read as _, Write as _};
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    move || {
        let mut all = first.to_vec();
        stream.read_to_end(&mut all).unwrap();
        let head = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        all.len() - head
    }
}

#[test]
fn it_answers_soon_whatever_the_size() {
    let site = Site::new("");
    let serving: Serving = site.serving(&[]);
    let begun = std::time::Instant::now();
    assert_eq!(serving.get("/v2/").status, 200);
    // The promise is 100 ms on a quiet machine; here others compile.
    assert!(serving.started + begun.elapsed() < Duration::from_secs(5), "{:?}", serving.started);
}

#[test]
fn clients_that_take_nothing_do_not_keep_others_waiting_without_a_word() {
    let layer = xtask::images::Layer::seeded(Seed::of("large"), 40 << 20, xtask::images::Compression::None);
    let graph = xtask::images::image(xtask::images::Family::Oci, "linux/amd64", &[layer.unwrap()]);
    let named = xtask::images::Named { repository: "acme/app".into(), tag: "v1".into(), graph };
    let site = Site::of("", vec![named]);
    let (digest, bytes) = site.images[0].graph.blobs.iter().max_by_key(|(_, b)| b.len()).unwrap();
    let path = format!("/v2/acme/app/blobs/{digest}");
    let serving = site.serving(&[]);
    let idle: Vec<TcpStream> = (0..bundle::limits::SERVE_READERS)
        .map(|_| {
            let mut stream = TcpStream::connect(serving.host()).unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: bundle\r\n\r\n").as_bytes()).unwrap();
            // The body is under way when its head is here.
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        })
        .collect();
    let refused = serving.get(&path);
    assert_eq!((refused.status, refused.code().as_str()), (503, "TOOMANYREQUESTS"));
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(serving.get("/v2/acme/app/manifests/v1").status, 200);
    let log = serving.log(2);
    let refused = log.iter().find(|entry| entry["status"] == 503).unwrap();
    assert!(refused["fault"].as_str().unwrap().starts_with("96 others are under way"), "{refused}");
    drop(idle);
    assert!(serving.get(&path).body == *bytes);
    // One that takes nothing is cut some time after a stop, and that is told as it was.
    let mut stream = TcpStream::connect(serving.host()).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: bundle\r\n\r\n").as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log:?}");
    let cut = log.iter().filter(|entry| entry["fault"].as_str().is_some_and(|f| f.contains("was stopped")));
    assert_eq!(cut.count(), 1, "{log:#?}");
}
