//! Other people's clients, and our own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::digest::Digest;
use xtask::images::{Compression, Family, Layer, Named, Seed, image};

use super::{Serving, Site};
use crate::cases::peers::registry::certificates;
use crate::cases::program::tool;

/// A certificate for 127.0.0.1 in `folder`, and the options that use it.
pub(super) const TLS: [&str; 4] = ["--tls-cert", "server.crt", "--tls-key", "server.key"];

pub(super) fn with_certificates(site: &Site) {
    let folder = site.stage.path("");
    certificates(&folder);
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn skopeo_copies_every_image_over_tls() {
    let site = Site::new("volume-size: 2MiB\n");
    with_certificates(&site);
    let serving = site.serving(&TLS);
    assert_eq!(serving.report["tls"], true);
    let ca = site.stage.path("ca.crt");
    for image in &site.images {
        let from = format!("docker://{}/{}:{}", serving.host(), image.repository, image.tag);
        let to = format!("oci:{}:x", site.stage.path("copied").join(&image.repository).display());
        fs::create_dir_all(site.stage.path("copied").join(&image.repository)).unwrap();
        let copy = ["copy", "--all", "--preserve-digests", &from, &to];
        if image.graph.root().media_type.contains("vnd.oci") {
            tool(Command::new("skopeo").args(copy).env("SSL_CERT_FILE", &ca));
        }
        let raw = tool(Command::new("skopeo").args(["inspect", "--raw", &from]).env("SSL_CERT_FILE", &ca));
        assert_eq!(raw, image.graph.root().bytes);
    }
    // One that does not know the CA is told of, not served.
    let stranger = Command::new("skopeo")
        .args(["inspect", &format!("docker://{}/incidentfox/agent:v1.2.0", serving.host())])
        .output()
        .unwrap();
    assert!(!stranger.status.success());
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|event| event["event"] == "connection"), "{log:?}");
}

#[test]
fn only_users_of_the_file_come_in() {
    let site = Site::new("");
    let line = tool(Command::new("htpasswd").args(["-nbB", "-C", "6", "robot", "correct horse"]));
    fs::write(site.stage.path("users"), line).unwrap();
    let serving = site.serving(&["--htpasswd", "users"]);
    assert_eq!(serving.report["passwords"], true);
    let ask = |password: &str| {
        let value = format!("Basic {}", STANDARD.encode(password));
        serving.ask("GET", "/v2/", &[("Authorization", &value)])
    };
    let nobody = serving.get("/v2/");
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "UNAUTHORIZED"));
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Basic realm="));
    for wrong in ["robot:wrong", "other:correct horse", "robot:", ":", "robot"] {
        assert_eq!(ask(wrong).status, 401, "{wrong}");
    }
    assert_eq!(ask("robot:correct horse").status, 200);
    // A password that was right is not worked on again.
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask("robot:correct horse").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    let log = serving.log(57);
    assert!(
        log[0].get("user").is_none() && log[1].get("user").is_none() && log[6]["user"] == "robot",
        "{log:?}"
    );

    let reference = format!("docker://{}/incidentfox/agent:v1.2.0", serving.host());
    let skopeo = ["inspect", "--raw", "--tls-verify=false", "--creds=robot:correct horse", &reference];
    assert_eq!(tool(Command::new("skopeo").args(skopeo)), site.images[0].graph.root().bytes);
}

#[test]
fn our_own_client_locks_and_builds_from_it() {
    let site = Site::new("");
    let serving = site.serving(&[]);
    let host = serving.host();
    site.stage.release("", &site.images, &host);
    fs::remove_file(site.stage.path("release.lock")).unwrap();
    site.stage.program.done(&["lock"]);
    site.stage.program.done(&site.stage.build("again"));
    let images = |out: &str| {
        let text = fs::read(site.stage.bundle(out).join("bundle.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&text).unwrap();
        index["images"].clone()
    };
    assert_eq!(images("out"), images("again"));
}

/// The most memory a process has had, in bytes.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn sixty_four_pulls_at_a_time_take_no_more_memory_than_is_promised() {
    let layers: Vec<Layer> = (0..8)
        .map(|n| Layer::seeded(Seed::of(&format!("layer {n}")), 12 << 20, Compression::None).unwrap())
        .collect();
    let graph = image(Family::Oci, "linux/amd64", &layers);
    let named = Named { repository: "acme/app".to_owned(), tag: "v1".to_owned(), graph };
    for settings in ["volume-size: 20MiB\n", "seal: none\nvolume-size: 20MiB\n"] {
        let site = Site::of(settings, vec![named.clone()]);
        let serving = site.serving(&[]);
        let large: Vec<(String, usize)> = site.images[0]
            .graph
            .blobs
            .iter()
            .filter(|(_, bytes)| bytes.len() > 10 << 20)
            .map(|(digest, bytes)| (digest.clone(), bytes.len()))
            .collect();
        // All of them begin, so that all queues are full, before any goes on.
        let streams: Vec<(TcpStream, &(String, usize))> = (0..64)
            .map(|n| {
                let blob = &large[n % large.len()];
                let mut stream = TcpStream::connect(serving.host()).unwrap();
                let path = format!("/v2/acme/app/blobs/{}", blob.0);
                // Every other one asks for a part.
                let range = if n % 4 == 3 { "Range: bytes=1000-\r\n" } else { "" };
                write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{range}\r\n").unwrap();
                (stream, blob)
            })
            .collect();
        std::thread::scope(|scope| {
            for (number, (mut stream, (digest, length))) in streams.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut all = Vec::new();
                    stream.read_to_end(&mut all).unwrap();
                    let head = all.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
                    let body = &all[head..];
                    if number % 4 == 3 {
                        assert_eq!(body.len(), length - 1000);
                    } else {
                        assert_eq!(Digest::of(body).to_string(), *digest);
                    }
                });
            }
        });
        let peak = peak(serving.id());
        assert!(peak <= 128 << 20, "{} MiB at 64 pulls", peak >> 20);
    }
}

/// The suite of the specification, its pull and discovery parts.
#[test]
fn the_conformance_suite_passes() {
    use super::forged::Forged;
    let forged = Forged::new();
    let serving: Serving = forged.serving(&[]);
    let suite = xtask::conformance::suite().unwrap();
    let results = forged.path("results");
    let set = |digests: &[Digest]| digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(" ");
    let output = Command::new(suite)
        .env_clear()
        .env("OCI_REGISTRY", serving.host())
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", "demo/app")
        // Not 1.1+dev: there the suite wants a header of manifests that, for those it did not push, it never looks at.
        .env("OCI_VERSION", "1.1")
        .env("OCI_RESULTS_DIR", &results)
        .env("OCI_API_PUSH", "false")
        .env("OCI_API_BLOBS_DELETE", "false")
        .env("OCI_API_MANIFESTS_DELETE", "false")
        .env("OCI_API_TAGS_DELETE", "false")
        .env("OCI_RO_DATA_TAGS", "v1")
        .env("OCI_RO_DATA_MANIFESTS", set(&forged.manifests))
        .env("OCI_RO_DATA_BLOBS", set(&forged.blobs))
        .env("OCI_RO_DATA_REFERRERS", set(&forged.subjects))
        .current_dir(forged.path(""))
        .output()
        .unwrap();
    // Judged by what it says: with content that it did not push itself it fails at writing its own report, after the last test.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("OCI Conformance Test: Pass"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!said.contains(": FAIL") && !said.contains(": Error") && !said.contains(": Skip"), "{said}");
    for part in ["tag-list", "head", "pull", "referrers"] {
        assert!(said.contains(&format!("read-only/{part}: Pass")), "{part}: {said}");
    }
    assert!(serving.log(20).len() >= 20, "{said}");
}
