//! `bundle export`: what other tools read, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::tool;
use super::serving::Site;
use super::serving::forged::Forged;
use super::world::files;

mod engines;
mod refusals;

/// Exports to `to` and gives the report.
fn export(site: &Site, to: &str, more: &[&str]) -> Value {
    let mut words = site.words("export");
    words.extend(["--json", "--to", to].iter().chain(more).map(|word| (*word).to_owned()));
    serde_json::from_str(&site.stage.program.done(&words).stdout).unwrap()
}

#[test]
fn a_layout_holds_everything_byte_for_byte() {
    let site = Site::new("volume-size: 2MiB\n");
    let report = export(&site, "oci:layout", &[]);
    assert_eq!(report["ok"], true);
    let layout = site.stage.path("layout");
    let found = files(&layout);
    let mut wanted = BTreeMap::new();
    for image in &site.images {
        let documents = image.graph.documents.iter().map(|d| (&d.digest, &d.bytes));
        for (digest, bytes) in image.graph.blobs.iter().map(|(d, b)| (d, b)).chain(documents) {
            wanted.insert(format!("blobs/{}", digest.replace(':', "/")), bytes.to_vec());
        }
    }
    for (name, bytes) in &wanted {
        assert!(found.get(name) == Some(bytes), "{name}");
    }
    assert_eq!(found.len(), wanted.len() + 2);
    // As skopeo and umoci see it.
    let image = &site.images[0];
    let name = format!("docker.io/{}:{}", image.repository, image.tag);
    let raw = tool(
        Command::new("skopeo")
            .args(["inspect", "--raw", &format!("oci:layout:{name}")])
            .current_dir(site.stage.path("")),
    );
    assert_eq!(raw, image.graph.root().bytes);
    let report =
        export(&site, "oci:one", &["--image", "incidentfox/agent:v1.2.0", "--platform", "linux/amd64"]);
    assert_eq!(report["written"].as_array().unwrap().len(), 1);
    tool(
        Command::new("skopeo")
            .args(["copy", "--preserve-digests", &format!("oci:one:{name}"), "oci:single:unpack"])
            .current_dir(site.stage.path("")),
    );
    tool(
        Command::new("umoci")
            .args(["unpack", "--rootless", "--image", "single:unpack", "unpacked"])
            .current_dir(site.stage.path("")),
    );
    assert!(site.stage.path("unpacked/rootfs/bin/start").is_file());
}

#[test]
fn a_tree_holds_what_went_in() {
    let forged = Forged::new();
    let out = forged.program.done(&forged.words("export", &["--to", "dir:tree"])).stdout;
    let report: Value = serde_json::from_str(&out).unwrap();
    let found = files(&forged.path("tree"));
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let expected = [
        "charts/app-1.2.0+b1.tgz",
        "images/app-v1-linux-amd64.tar",
        "images/app-v1-linux-arm64.tar",
        "models/llama/config.json",
        "models/llama/weights/a.safetensors",
    ];
    assert_eq!(names, expected);
    assert_eq!(found["charts/app-1.2.0+b1.tgz"], forged.chart);
    for (path, bytes) in &forged.model {
        assert_eq!(&found[&format!("models/llama/{path}")], bytes);
    }
    // What the form has no place for is named.
    let left_out = report["left_out"].as_array().unwrap();
    assert!(
        left_out.len() == 2 && left_out[0].as_str().unwrap().contains("docker.io/demo/app@sha256:"),
        "{report:#}"
    );
    let one = forged.words("export", &["--to", "dir:one", "--image", "charts/app:1.2.0_b1"]);
    forged.program.done(&one);
    assert_eq!(files(&forged.path("one")).len(), 1);
    let platform =
        forged.words("export", &["--to", "dir:amd", "--image", "demo/app:v1", "--platform", "linux/amd64"]);
    forged.program.done(&platform);
    assert_eq!(files(&forged.path("amd")).into_keys().collect::<Vec<_>>(), ["images/app-v1.tar"]);
}

#[test]
fn a_layout_holds_what_refers_to_images_and_says_what_a_narrowed_one_loses() {
    let forged = Forged::new();
    forged.program.done(&forged.words("export", &["--to", "oci:all"]));
    let index: Value = serde_json::from_slice(&fs::read(forged.path("all/index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!(entries.iter().filter(|entry| entry["artifactType"].is_string()).count(), 2);
    let out = forged
        .program
        .done(&forged.words("export", &["--to", "oci:amd", "--platform", "linux/amd64"]))
        .stdout;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["left_out"].as_array().unwrap().len(), 2);
}

/// Runs an export and kills it after `wait`.
fn killed(site: &Site, to: &str, wait: Duration) {
    let mut words = site.words("export");
    words.extend(["--to", to].map(str::to_owned));
    let mut command = site.stage.program.command(&words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(wait);
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn a_killed_export_leaves_nothing_that_looks_whole_and_the_next_one_completes_it() {
    let site = Site::new("volume-size: 2MiB\n");
    let timed = |to: &str| {
        let begun = Instant::now();
        export(&site, to, &[]);
        begun.elapsed()
    };
    let whole = timed("oci:good").min(timed("oci:again"));
    let good = files(&site.stage.path("good"));
    let mut cut = 0;
    // From the very start of the program to about its end.
    for round in 0..12 {
        let name = format!("kill{round}");
        killed(&site, &format!("oci:{name}"), whole * round / 12);
        // Killed after its last rename, it is there, and whole.
        if !site.stage.path(&name).exists() {
            cut += 1;
            export(&site, &format!("oci:{name}"), &[]);
        }
        assert!(files(&site.stage.path(&name)) == good, "{name}");
        assert!(!site.stage.path(&format!(".{name}.parts")).exists());
    }
    assert!(cut > 0);
}

/// The names of the entries of a tar, in order.
fn entries(path: &Path) -> Vec<String> {
    let list = tool(Command::new("tar").arg("-tf").arg(path));
    String::from_utf8(list).unwrap().lines().map(str::to_owned).collect()
}
