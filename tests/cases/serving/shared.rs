//! Many who pull the same blob at the same time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bundle::digest::Digest;
use xtask::images::{Compression, Family, Layer, Named, Seed, image};

use super::{Serving, Site, flip};
use crate::cases::program::tool;

/// Pulls at the same time.
const NODES: usize = 8;

/// One image with one large layer, in a bundle; the layer's digest and length.
fn site(settings: &str) -> (Site, String, usize) {
    let layer = Layer::seeded(Seed::of("large"), 48 << 20, Compression::None).unwrap();
    let graph = image(Family::Oci, "linux/amd64", &[layer]);
    let site = Site::of(settings, vec![Named { repository: "acme/app".into(), tag: "v1".into(), graph }]);
    let (digest, bytes) = site.images[0].graph.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let (digest, length) = (digest.clone(), bytes.len());
    (site, digest, length)
}

fn begin(serving: &Serving, digest: &str) -> TcpStream {
    let mut stream = TcpStream::connect(serving.host()).unwrap();
    write!(stream, "GET /v2/acme/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream
}

/// The body of an answer, as far as it came.
fn body(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A body that is broken off is judged by its length.
    let _ = stream.read_to_end(&mut all);
    let head = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    all.split_off(head)
}

/// Bytes that a process has read from files and sockets.
fn read_by(id: u32) -> u64 {
    let counts = std::fs::read_to_string(format!("/proc/{id}/io")).unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn what_all_nodes_pull_at_once_is_read_about_once() {
    for settings in ["volume-size: 20MiB\n", "seal: none\nvolume-size: 20MiB\n"] {
        let (site, digest, length) = site(settings);
        let serving = site.serving(&[]);
        let before = read_by(serving.id());
        // One that reads nothing for as long as the others take must not hold them up, and gets everything in the end.
        let slow = begin(&serving, &digest);
        std::thread::scope(|scope| {
            for _ in 0..NODES {
                scope.spawn(|| {
                    let body = body(begin(&serving, &digest));
                    assert_eq!(Digest::of(&body).to_string(), digest);
                });
            }
        });
        assert_eq!(Digest::of(&body(slow)).to_string(), digest);
        // Once for all, once for the slow one; what is not sealed is hashed chunk by chunk besides. Some more where a node lost touch.
        let read = read_by(serving.id()) - before;
        let times = read as f64 / length as f64;
        assert!(times < 5.0, "{NODES} nodes and a slow one: read {times:.1} times ({settings})");
    }
}

/// Seals `volume` anew, as one who may open it could, with one byte of its payload changed.
fn reseal(site: &Site, volume: &Path, at: usize) {
    let grants = site.bundle().join("grants");
    let grant = grants.read_dir().unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let age = |words: &[&str]| tool(Command::new("age").args(words));
    let key = site.stage.path("release.key");
    let (key_path, sealed) = (key.to_str().unwrap(), volume.to_str().unwrap());
    let release = age(&["-d", "-i", site.stage.path("acme.key").to_str().unwrap(), grant.to_str().unwrap()]);
    fs::write(&key, release).unwrap();
    let mut plain = age(&["-d", "-i", key_path, sealed]);
    plain[at] ^= 1;
    let changed = site.stage.path("changed");
    fs::write(&changed, plain).unwrap();
    let recipient = String::from_utf8(tool(Command::new("age-keygen").arg("-y").arg(&key))).unwrap();
    let length = fs::metadata(volume).unwrap().len();
    age(&["-r", recipient.trim(), "-o", sealed, changed.to_str().unwrap()]);
    assert_eq!(fs::metadata(volume).unwrap().len(), length);
}

/// Nothing but its digest tells that a blob is not the signed one: who comes back for the rest of it must not get that either.
#[test]
fn what_was_sealed_anew_ends_in_no_whole_blob_by_parts_either() {
    let (site, digest, length) = site("volume-size: 20MiB\n");
    let volumes = site.bundle().join("volumes");
    let mut volumes: Vec<_> = volumes.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    volumes.sort();
    reseal(&site, &volumes[1], 3 << 20);
    let serving = site.serving(&[]);
    let path = format!("/v2/acme/app/blobs/{digest}");
    let begun = serving.get(&path);
    assert!(begun.status == 200 && begun.body.len() < length, "{}", begun.body.len());
    let rest = [("Range", &*format!("bytes={}-", begun.body.len()))];
    let reply = serving.ask("GET", &path, &rest);
    assert_eq!((reply.status, reply.code()), (500, "UNKNOWN".to_owned()));
    let log = serving.log(2);
    let name = volumes[1].file_name().unwrap().to_str().unwrap();
    for entry in &log {
        let fault = entry["fault"].as_str().unwrap_or_default();
        assert!(fault.starts_with(&format!("volume volumes/{name}: chunk 0 (bytes ")), "{log:#?}");
    }
}

#[test]
fn many_who_stand_still_are_waited_for_at_the_same_time() {
    let (site, digest, _) = site("volume-size: 20MiB\n");
    let serving = site.serving(&[]);
    let still: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = begin(&serving, &digest);
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(Digest::of(&body(begin(&serving, &digest))).to_string(), digest);
    // One after the other would be ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(still);
}

#[test]
fn damage_breaks_off_every_pull_of_those_at_once() {
    for settings in ["volume-size: 20MiB\n", "seal: none\nvolume-size: 20MiB\n"] {
        let (site, digest, length) = site(settings);
        let bytes = &site.images[0].graph.blobs.iter().find(|(other, _)| **other == digest).unwrap().1;
        let volume = site.bundle().join("volumes");
        let mut volumes: Vec<_> = volume.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        volumes.sort();
        flip(&volumes[1], 10 << 20);
        let serving = site.serving(&[]);
        std::thread::scope(|scope| {
            for _ in 0..NODES {
                scope.spawn(|| {
                    let body = body(begin(&serving, &digest));
                    assert!(body.len() < length && bytes.starts_with(&body), "{} of {length}", body.len());
                });
            }
        });
        let log = serving.log(NODES);
        let faults =
            log.iter().filter(|entry| entry["fault"].as_str().is_some_and(|f| f.contains("chunk 0")));
        assert_eq!(faults.count(), NODES, "{log:#?}");
    }
}
