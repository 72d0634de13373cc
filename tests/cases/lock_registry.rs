//! `bundle lock` against a registry: what it asks, and what it makes of lies.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bundle::oci::Reference;
use bundle::ops::lock::{Change, Error, Mode, Outcome, Report, Request, Stale, lock};
use bundle::progress::Silent;
use bundle::registry::{Client, Options, Proxies};
use bundle::release::lock::Lock;
use bundle::sources::{Images, Remote};
use xtask::images::{Compression, Family, Layer, Named, Seed, image, sample};
use xtask::registry::{Action, Config, Kind, Rule, Server};

const HEAD: &str = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n";

struct Bench {
    folder: tempfile::TempDir,
    server: Server,
    client: Arc<Client>,
    images: Vec<Named>,
}

impl Bench {
    /// A registry with the sample images, and a release that names them all.
    fn new(platforms: &str) -> Self {
        let server = Server::start(Config::default()).unwrap();
        let images = sample("incidentfox", "v1.2.0").unwrap();
        let mut release = format!("{HEAD}{platforms}images:\n");
        for image in &images {
            image.graph.put(&server, &image.repository, &image.tag).unwrap();
            let narrow =
                if image.repository.ends_with("vllm-openai") { ", platforms: [linux/amd64]" } else { "" };
            let name = format!("{}/{}:{}", server.host(), image.repository, image.tag);
            release += &format!("  - {{ref: \"{name}\"{narrow}}}\n");
        }
        let options = Options {
            attempts: 2,
            backoff: Duration::from_millis(1),
            proxies: Proxies::default(),
            credential_files: Vec::new(),
            ..Options::default()
        };
        let client = Arc::new(Client::new(&options, Arc::new(Silent)).unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("release.yaml"), release).unwrap();
        Self { folder, server, client, images }
    }

    fn lock(&self, mode: Mode) -> Result<Report, Error> {
        self.server.reset_stats();
        let registry = |reference: &Reference| {
            Arc::new(Remote::new(Arc::clone(&self.client), reference)) as Arc<dyn Images>
        };
        lock(&Request { file: self.folder.path().join("release.yaml"), mode, helm: None }, registry, &Silent)
    }

    fn read(&self) -> Lock {
        Lock::parse(&fs::read(self.folder.path().join("release.lock")).unwrap(), "release.lock").unwrap()
    }

    fn manifests_asked(&self) -> usize {
        self.server.stats().count("GET", Kind::Manifest)
    }
}

#[test]
fn every_manifest_is_read_once_and_no_layer_is() {
    let bench = Bench::new("platforms: [linux/amd64, linux/arm64]\n");
    let report = bench.lock(Mode::Write).unwrap();
    let asked: usize = bench.images.iter().map(|image| image.graph.documents.len()).sum();
    assert_eq!(bench.manifests_asked(), asked);
    // The one image that is no index says what it runs on in its configuration alone.
    assert_eq!(bench.server.stats().count("GET", Kind::Blob), 1);
    let lock = bench.read();
    for (image, locked) in bench.images.iter().zip(&lock.images) {
        assert_eq!(locked.root().unwrap().digest.to_string(), image.graph.root().digest);
        assert_eq!(locked.manifests.len(), image.graph.documents.len());
        let mut blobs: Vec<String> = Vec::new();
        for blob in locked.manifests.iter().flat_map(|m| m.config.iter().chain(&m.layers)) {
            if !blobs.contains(&blob.digest.to_string()) {
                blobs.push(blob.digest.to_string());
            }
        }
        let mut put: Vec<String> = image.graph.blobs.iter().map(|(digest, _)| digest.clone()).collect();
        blobs.sort();
        put.sort();
        assert_eq!(blobs, put, "{}", image.repository);
    }
    assert!(report.images.iter().all(|image| image.change == Change::Added));
}

#[test]
fn an_unchanged_image_costs_one_request_and_a_moved_tag_is_seen() {
    let bench = Bench::new("platforms: [linux/amd64, linux/arm64]\n");
    bench.lock(Mode::Write).unwrap();
    for mode in [Mode::Write, Mode::Check] {
        let report = bench.lock(mode).unwrap();
        assert_ne!(report.outcome, Outcome::Written);
        assert_eq!((bench.manifests_asked(), bench.server.stats().count("GET", Kind::Blob)), (7, 0));
    }
    let newer = sample("incidentfox", "v1.3.0").unwrap();
    newer[2].graph.put(&bench.server, &newer[2].repository, "v1.2.0").unwrap();
    let Err(Error::Stale { reasons, .. }) = bench.lock(Mode::Check) else { panic!("it should be stale") };
    assert!(
        matches!(&reasons[..], [Stale::Moved { reference, now, .. }]
            if reference.to_string().contains("orchestrator") && now.to_string() == newer[2].graph.root().digest),
        "{reasons:?}"
    );
    let report = bench.lock(Mode::Write).unwrap();
    let moved = report.images.iter().filter(|image| image.change != Change::Same).count();
    assert_eq!((report.outcome, moved), (Outcome::Written, 1));
    assert_eq!(bench.manifests_asked(), 6 + newer[2].graph.documents.len());
}

#[test]
fn narrowed_images_keep_their_entries_too() {
    let bench = Bench::new("platforms: [linux/amd64]\n");
    let report = bench.lock(Mode::Write).unwrap();
    assert_eq!(report.images.iter().filter(|image| image.original.is_some()).count(), 6);
    assert_eq!(report.findings.len(), 2);
    assert_eq!(bench.manifests_asked(), 6 * 2 + 1);
    let again = bench.lock(Mode::Write).unwrap();
    assert_eq!((again.outcome, bench.manifests_asked()), (Outcome::Unchanged, 7));
    assert_eq!(again.findings, report.findings);
}

#[test]
fn a_registry_that_lies_leaves_no_lock() {
    let lies = [
        Action::WrongBytes(20),
        Action::WrongDigestHeader,
        Action::ShortBody(50),
        Action::CloseResponse(10),
        Action::Html(200),
        Action::EndlessBody,
        Action::Status(500, Vec::new()),
        Action::Status(404, Vec::new()),
        Action::Status(401, Vec::new()),
    ];
    let bench = Bench::new("platforms: [linux/amd64, linux/arm64]\n");
    for lie in lies {
        bench.server.faults().clear();
        bench.server.faults().add(Rule::new(lie.clone()).path("/incidentfox/web-ui/manifests/sha256"));
        bench.server.faults().add(Rule::new(lie.clone()).path("/incidentfox/agent/manifests/"));
        let Err(Error::Entries(faults)) = bench.lock(Mode::Write) else { panic!("{lie:?} was believed") };
        let names: Vec<String> = faults
            .iter()
            .map(|fault| fault.of.parse::<Reference>().unwrap().repository().path().to_owned())
            .collect();
        assert_eq!(names, ["incidentfox/agent", "incidentfox/web-ui"], "{lie:?}");
        assert!(faults.iter().all(|fault| fault.to_string().contains("release.yaml:")), "{lie:?}");
        assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 1, "{lie:?}");
    }
}

#[test]
fn what_a_release_asks_of_an_image_is_read_where_it_is_locked() {
    let bench = Bench::new("");
    let release = bench.folder.path().join("release.yaml");
    let alone = |platforms: &str| {
        let (image, host) = (&bench.images[6], bench.server.host());
        let name = format!("{host}/{}:{}", image.repository, image.tag);
        fs::write(&release, format!("{HEAD}images:\n  - {{ref: \"{name}\"{platforms}}}\n")).unwrap();
        let locked = bench.lock(Mode::Write).map(|_| bench.read().images.swap_remove(0).platforms);
        let read = bench.server.stats().count("GET", Kind::Blob);
        locked.map_err(|error| error.to_string()).map(|platforms| (platforms, read))
    };
    assert_eq!(alone("").unwrap(), (vec![], 0));
    let refused = alone(", platforms: [linux/arm64]").unwrap_err();
    assert!(refused.ends_with("it is not made for linux/arm64; it has linux/amd64"), "{refused}");
    // The entry that was locked before does not say; once it does, it is kept.
    let amd64 = vec!["linux/amd64".parse().unwrap()];
    assert_eq!(alone(", platforms: [linux/amd64]").unwrap(), (amd64.clone(), 1));
    assert_eq!(alone(", platforms: [linux/amd64]").unwrap(), (amd64.clone(), 0));
    assert_eq!(alone("").unwrap(), (amd64, 0));
}

/// Requests of the first lock of so many images, spread over so many repositories.
fn first_lock(images: usize, repositories: usize, referrers: bool) -> usize {
    let mut bench = Bench::new("");
    bench.server = Server::start(Config { referrers, ..Config::default() }).unwrap();
    let mut release = format!("{HEAD}images:\n");
    for number in 0..images {
        let name = format!("acme/image-{}", number % repositories);
        let layer = Layer::seeded(Seed::of(&number.to_string()), 100, Compression::Gzip).unwrap();
        image(Family::Oci, "linux/amd64", &[layer]).put(&bench.server, &name, &format!("v{number}")).unwrap();
        release += &format!("  - \"{}/{name}:v{number}\"\n", bench.server.host());
    }
    fs::write(bench.folder.path().join("release.yaml"), release).unwrap();
    bench.lock(Mode::Write).unwrap();
    bench.server.stats().lines.len()
}

#[test]
fn a_first_lock_asks_only_what_nothing_else_tells() {
    // Manifest, and what a registry lists about it; the tags of each repository, for cosign's: at most three for an image.
    assert_eq!(first_lock(24, 24, true), 24 * 2 + 24);
    assert_eq!(first_lock(24, 3, true), 24 * 2 + 3);
    // Where there is no such list, that is found out once.
    assert_eq!(first_lock(24, 24, false), 24 + 24 + 1);
    assert_eq!(first_lock(24, 3, false), 24 + 3 + 1);
}
