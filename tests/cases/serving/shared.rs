//! Many who pull the same blob at the same time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bundle::digest::Digest;
use xtask::images::{Compression, Family, Layer, Named, Seed, image};

use super::{Serving, Site, flip};

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
