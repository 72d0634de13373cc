//! `kill -9` at seeded random moments of `build` and `load`, and the same command again until it is done: the result is that of a run
//! that nobody disturbed, and little is read or sent twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Config, Server};

use super::peers::registry::{Kind, Peer};
use super::stage::Stage;
use super::world::files;

/// Kills of each kind of run.
const KILLS: u32 = 100;
/// Bytes that may be fetched twice for one kill: a chunk; and what the registry has given away and the network not yet delivered.
const REFETCHED: i64 = (16 << 20) + (4 << 20);
/// Bytes that may be sent twice for one kill; the smallest window there is. Seen is next to nothing.
const RESENT: u64 = 4 << 20;

/// Images of every size of layer: many volumes to a layer, many layers to a volume.
fn images() -> Vec<Named> {
    let named = |name: &str, sizes: &[usize]| {
        let layers: Vec<Layer> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| {
                Layer::seeded(Seed::of(&format!("{name} {at}")), *size, Compression::None).unwrap()
            })
            .collect();
        let graph = image(Family::Oci, "linux/amd64", &layers);
        Named { repository: format!("kills/{name}"), tag: "v1".to_owned(), graph }
    };
    vec![
        named("large", &[24 << 20, 3 << 20]),
        named("middling", &[5 << 20, 6 << 20, 7 << 20]),
        named("small", &[200 << 10; 20]),
    ]
}

fn blob_bytes(images: &[Named]) -> u64 {
    let blobs: BTreeMap<_, _> = images.iter().flat_map(|image| image.graph.blobs.iter().cloned()).collect();
    blobs.values().map(|bytes| bytes.len() as u64).sum()
}

/// What a person does to a program that takes too long.
enum End {
    Killed,
    Done,
}

/// Lets `child` run for `moment` at most.
fn run_for(mut child: Child, moment: Duration) -> End {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}: {:?}", child.wait_with_output());
            return End::Done;
        }
        if begun.elapsed() >= moment {
            child.kill().unwrap();
            // It may have ended between the look and the kill.
            return if child.wait().unwrap().success() { End::Done } else { End::Killed };
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

fn start(stage: &Stage, arguments: &[String]) -> Child {
    stage.program.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs to the end, undisturbed; tells how long that takes.
fn undisturbed(stage: &Stage, arguments: &[String]) -> Duration {
    let begun = Instant::now();
    stage.program.done(arguments);
    begun.elapsed()
}

fn moment(seed: &mut Seed, whole: Duration) -> Duration {
    Duration::from_micros(seed.below(u64::try_from(whole.as_micros()).unwrap()))
}

/// A vendor's registry and a release of [`images`] in it, locked.
fn stage(settings: &str) -> (Stage, Server, Vec<Named>) {
    let vendor = Server::start(Config::default()).unwrap();
    let images = images();
    for image in &images {
        image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
    }
    let stage = Stage::new();
    stage.release(settings, &images, &vendor.host());
    stage.program.done(&["lock"]);
    (stage, vendor, images)
}

/// Bytes of payload that an unfinished build has on disk, up to what sealing adds (an 4000th).
fn on_disk(out: &Path) -> i64 {
    let volumes = out.join(".demo-1.2.0.partial/volumes");
    let Ok(entries) = fs::read_dir(volumes) else { return 0 };
    let bytes: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    i64::try_from(bytes).unwrap()
}

/// Kills builds until `kills` were killed; after each chain of kills that ends in a bundle, `check` looks at it.
fn kill_builds(stage: &Stage, vendor: &Server, kills: u32, check: &dyn Fn(&Path)) -> i64 {
    let whole = undisturbed(stage, &stage.build("whole"));
    let mut seed = Seed::of("kills of build");
    let (mut killed, mut worst) = (0, 0);
    while killed < kills {
        drop(vendor.settled_stats());
        vendor.reset_stats();
        let (mut fetched, mut kept) = (0, 0);
        let out = stage.path("out");
        while let End::Killed = run_for(start(stage, &stage.build("out")), moment(&mut seed, whole)) {
            killed += 1;
            if stage.bundle("out").exists() {
                break;
            }
            let (now_fetched, now_kept) =
                (i64::try_from(vendor.settled_stats().blob_sent).unwrap(), on_disk(&out));
            let lost = (now_fetched - fetched) - (now_kept - kept);
            assert!(lost <= REFETCHED, "kill {killed} lost {lost} bytes that had been fetched");
            worst = worst.max(lost);
            (fetched, kept) = (now_fetched, now_kept);
        }
        check(&stage.bundle("out"));
        let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["demo-1.2.0"]);
        fs::remove_dir_all(out).unwrap();
    }
    worst
}

#[test]
fn a_killed_build_of_plain_volumes_ends_in_the_very_same_bytes() {
    let (stage, vendor, _) = stage("seal: none\nvolume-size: 5MiB\n");
    let mut whole = None;
    let whole = std::cell::RefCell::new(&mut whole);
    let worst = kill_builds(&stage, &vendor, KILLS / 2, &|bundle| {
        let mut whole = whole.borrow_mut();
        let whole = whole.get_or_insert_with(|| files(&stage.bundle("whole")));
        let got = files(bundle);
        assert!(got.keys().eq(whole.keys()), "{:?}", got.keys());
        for (name, bytes) in &got {
            assert!(whole[name] == *bytes, "{name} differs");
        }
    });
    println!("the worst kill of a plain build had {worst} bytes fetched again");
}

#[test]
fn a_killed_build_of_sealed_volumes_ends_in_the_same_content() {
    let (stage, vendor, _) = stage("volume-size: 5MiB\n");
    let index = |bundle: &Path| {
        let text = fs::read(bundle.join("bundle.json")).unwrap();
        let mut index: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for volume in index["volumes"].as_array_mut().unwrap() {
            volume["sha256"] = "".into();
            volume["chunks"] = volume["chunks"].as_array().unwrap().len().into();
        }
        index
    };
    let worst = kill_builds(&stage, &vendor, KILLS / 2, &|bundle| {
        stage.program.done(&stage.verify(bundle));
        assert_eq!(index(bundle), index(&stage.bundle("whole")));
        let names = |bundle| files(bundle).into_keys().collect::<Vec<_>>();
        assert_eq!(names(bundle), names(&stage.bundle("whole")));
    });
    println!("the worst kill of a sealed build had {worst} bytes fetched again");
}

#[test]
fn a_killed_load_leaves_what_an_undisturbed_one_does() {
    let (stage, _vendor, images) = stage("volume-size: 5MiB\n");
    stage.program.done(&stage.build("whole"));
    let customer = Server::start(Config::default()).unwrap();
    let load = stage.load(&stage.bundle("whole"), &customer.host());
    let whole = undisturbed(&stage, &load);
    let content = blob_bytes(&images);
    assert_eq!(customer.stats().blob_received, content);
    let mut seed = Seed::of("kills of load");
    let (mut killed, mut worst) = (0, 0);
    while killed < KILLS {
        customer.wipe();
        drop(customer.settled_stats());
        customer.reset_stats();
        fs::remove_dir_all(stage.program.state()).unwrap();
        let mut kills = 0;
        while let End::Killed = run_for(start(&stage, &load), moment(&mut seed, whole)) {
            kills += 1;
        }
        killed += kills;
        let again = customer.settled_stats().blob_received - content;
        assert!(again <= RESENT * u64::from(kills), "{kills} kills had {again} bytes sent again");
        worst = worst.max(again / u64::from(kills.max(1)));
        for image in &images {
            let repository = format!("mirror/{}", image.repository);
            for document in &image.graph.documents {
                let (_, got) = customer.manifest(&repository, &document.digest).unwrap();
                assert_eq!(got, document.bytes);
            }
            let tag = (image.tag.clone(), image.graph.root().digest.clone());
            assert_eq!(customer.tags(&repository), [tag]);
            for (digest, bytes) in &image.graph.blobs {
                assert!(customer.has_blob(&repository, digest));
                assert!(customer.blob(digest).unwrap() == bytes, "{digest} differs");
            }
        }
        let notes: Vec<_> =
            files(&stage.program.state()).into_keys().filter(|n| n.contains("uploads")).collect();
        assert!(notes.is_empty(), "notes of uploads that are over: {notes:?}");
    }
    println!("the worst chain of kills had {worst} bytes a kill sent again");
}

/// distribution 2.8 does not keep what came of a torn body: the address of its session states how many bytes there are, and those written
/// before the break make that untrue. A load that is killed there sends that blob again, and ends right.
#[test]
fn docker_registry_loses_a_torn_upload_and_the_load_ends_right() {
    let vendor = Server::start(Config::default()).unwrap();
    let layer = Layer::seeded(Seed::of("torn"), 96 << 20, Compression::None).unwrap();
    let graph = image(Family::Oci, "linux/amd64", std::slice::from_ref(&layer));
    let images = [Named { repository: "kills/torn".to_owned(), tag: "v1".to_owned(), graph }];
    images[0].graph.put(&vendor, "kills/torn", "v1").unwrap();
    let stage = Stage::new();
    stage.release("seal: none\n", &images, &vendor.host());
    stage.program.done(&["lock"]);
    stage.program.done(&stage.build("out"));
    let customer = Peer::start(Kind::Plain);
    let load = stage.load(&stage.bundle("out"), &customer.host());
    let mut child = start(&stage, &load);
    let uploads = customer.storage().join("docker/registry/v2/repositories/mirror/kills/torn/_uploads");
    let torn = |least: u64| {
        let sessions = fs::read_dir(&uploads).into_iter().flatten();
        sessions.filter_map(|s| s.ok()?.path().join("data").metadata().ok()).any(|data| data.len() > least)
    };
    while !torn(8 << 20) {
        assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = customer.requests().len();
    stage.program.done(&load);
    let again = customer.requests().split_off(before);
    let sessions: Vec<_> =
        again.iter().filter(|line| line.contains("/blobs/uploads/") && !line.starts_with("PUT ")).collect();
    assert!(sessions[0].starts_with("GET ") && sessions[0].ends_with(" 404"), "{again:#?}");
    assert!(sessions[1].starts_with("POST ") && sessions[1].ends_with(" 202"), "{again:#?}");
    assert!(again.iter().any(|line| line.starts_with("PUT ") && line.contains("/manifests/v1 201")));
    let blob = customer.storage().join("docker/registry/v2/blobs/sha256");
    let hex = layer.digest.trim_start_matches("sha256:");
    assert!(fs::read(blob.join(&hex[..2]).join(hex).join("data")).unwrap() == layer.bytes);
}
