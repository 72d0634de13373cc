//! Damage: named in the log, and never served.

use std::fs;
use std::path::PathBuf;

use xtask::images::Seed;

use super::{Serving, Site, flip};

/// The volumes of a bundle, in order.
fn volumes(site: &Site) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(site.bundle().join("volumes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Downloads every blob; gives how many came whole. What came is always right as far as it came.
fn pull_all(site: &Site, serving: &Serving) -> (usize, usize) {
    let (mut whole, mut broken) = (0, 0);
    for image in &site.images {
        for (digest, bytes) in &image.graph.blobs {
            let reply = serving.get(&format!("/v2/{}/blobs/{digest}", image.repository));
            // What cannot be read from its very beginning is a fault, not a body that ends early.
            if reply.status == 500 {
                assert_eq!(reply.code(), "UNKNOWN");
                broken += 1;
                continue;
            }
            assert_eq!(reply.status, 200);
            assert!(bytes.starts_with(&reply.body), "wrong bytes of {digest} were served");
            if reply.whole() {
                assert_eq!(reply.body.len(), bytes.len());
                whole += 1;
            } else {
                broken += 1;
            }
        }
    }
    (whole, broken)
}

#[test]
fn a_flipped_bit_breaks_the_blobs_in_it_off_and_is_named() {
    for settings in ["volume-size: 2MiB\n", "seal: none\nvolume-size: 2MiB\n"] {
        let site = Site::new(settings);
        let volumes = volumes(&site);
        let at = usize::try_from(fs::metadata(&volumes[1]).unwrap().len()).unwrap() / 2;
        flip(&volumes[1], at);
        let serving = site.serving(&[]);
        let (whole, broken) = pull_all(&site, &serving);
        assert!(whole > 0 && broken > 0, "{whole} {broken}");
        let log = serving.log(whole + broken);
        let faults: Vec<&str> = log.iter().filter_map(|entry| entry["fault"].as_str()).collect();
        assert_eq!(faults.len(), broken, "{faults:?}");
        let name = volumes[1].file_name().unwrap().to_str().unwrap();
        let named = format!("volume volumes/{name}: chunk 0 (bytes ");
        assert!(faults.iter().all(|fault| fault.starts_with(&named)), "{faults:?}");
    }
}

#[test]
fn a_part_of_a_damaged_chunk_is_not_served_even_where_it_is_right() {
    for settings in ["volume-size: 20MiB\n", "seal: none\nvolume-size: 20MiB\n"] {
        let layer =
            xtask::images::Layer::seeded(Seed::of("large"), 40 << 20, xtask::images::Compression::None);
        let graph = xtask::images::image(xtask::images::Family::Oci, "linux/amd64", &[layer.unwrap()]);
        let named = |graph| xtask::images::Named { repository: "acme/app".into(), tag: "v1".into(), graph };
        let site = Site::of(settings, vec![named(graph)]);
        let (digest, bytes) = site.images[0].graph.blobs.iter().max_by_key(|(_, b)| b.len()).unwrap();
        let path = format!("/v2/acme/app/blobs/{digest}");
        flip(&volumes(&site)[0], 17 << 20);
        let serving = site.serving(&[]);
        let range = |from: usize, to: usize| {
            serving.ask("GET", &path, &[("Range", &format!("bytes={from}-{}", to - 1))])
        };
        // In the first chunk of the first volume, which is whole.
        let good = range(1 << 20, 2 << 20);
        assert!(good.status == 206 && good.body == bytes[1 << 20..2 << 20]);
        // In the second, beside the damage, at it, and up to it: nothing of that chunk.
        for (from, to) in
            [(18 << 20, (18 << 20) + 100), ((17 << 20) - 200_000, 18 << 20), (15 << 20, 18 << 20)]
        {
            let bad = range(from, to);
            if bad.status == 500 {
                assert!(from >= 16 << 20 && bad.header("content-range").is_none(), "{from} {to}");
                continue;
            }
            assert!(
                bad.status == 206 && !bad.whole() && bytes[from..to].starts_with(&bad.body),
                "{from} {to}"
            );
            assert!(bad.body.len() <= (16_usize << 20).saturating_sub(from), "{from} {to}");
        }
        // In the next volume.
        let good = range(30 << 20, 31 << 20);
        assert!(good.whole() && good.body == bytes[30 << 20..31 << 20]);
        let log = serving.log(5);
        let faults: Vec<String> = log.iter().filter_map(|e| e["fault"].as_str().map(str::to_owned)).collect();
        assert!(faults.len() == 3 && faults.iter().all(|f| f.contains("chunk 1 (bytes ")), "{faults:?}");
    }
}

#[test]
fn no_damage_of_any_kind_ever_serves_a_wrong_byte() {
    for settings in ["volume-size: 1MiB\n", "seal: none\nvolume-size: 1MiB\n"] {
        let site = Site::new(settings);
        let pristine: Vec<(PathBuf, Vec<u8>)> =
            volumes(&site).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
        let mut seed = Seed::of("damages");
        for round in 0..6 {
            let pick = usize::try_from(seed.below(pristine.len() as u64)).unwrap();
            let (path, bytes) = &pristine[pick];
            let at = usize::try_from(seed.below(bytes.len() as u64)).unwrap();
            let mut damaged = bytes.clone();
            match round % 3 {
                0 => damaged[at] ^= 1 << seed.below(8),
                1 => damaged[at..(at + 70_000).min(bytes.len())].fill(0),
                _ => damaged.truncate(at),
            }
            fs::write(path, damaged).unwrap();
            let serving = site.serving(&[]);
            pull_all(&site, &serving);
            fs::write(path, bytes).unwrap();
        }
        let serving = site.serving(&[]);
        assert_eq!(pull_all(&site, &serving).1, 0);
    }
}

#[test]
fn a_damaged_manifest_and_a_lost_volume_are_answered_as_faults() {
    let site = Site::new("volume-size: 1MiB\n");
    let volumes = volumes(&site);
    let serving = site.serving(&[]);
    // Manifests lie in the first volume; the server has it open for nobody yet.
    fs::rename(&volumes[0], site.bundle().join("volumes/away")).unwrap();
    let reply = serving.get("/v2/incidentfox/agent/manifests/v1.2.0");
    assert_eq!((reply.status, reply.code().as_str()), (500, "UNKNOWN"));
    fs::rename(site.bundle().join("volumes/away"), &volumes[0]).unwrap();
    assert_eq!(serving.get("/v2/incidentfox/agent/manifests/v1.2.0").status, 200);
    let log = serving.log(2);
    assert!(log[0]["fault"].as_str().unwrap().contains("0001.tar.age"), "{log:?}");
    assert!(log[1].get("fault").is_none());
    // What is not there when it begins is said then.
    assert_eq!(serving.report["findings"], serde_json::json!([]));
    fs::rename(&volumes[0], site.bundle().join("volumes/away")).unwrap();
    fs::OpenOptions::new().write(true).open(&volumes[1]).unwrap().set_len(9).unwrap();
    let serving = site.serving(&[]);
    let said = serving.report["findings"].to_string();
    assert!(serving.report["ok"] == true && said.contains("missing") && said.contains("\"got\":9"), "{said}");
}
