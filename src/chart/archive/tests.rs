//! Archives that hold, and every way in which one does not.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use super::*;
use crate::chart::pack::pack;

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_at(flate2::Compression::best(), bytes)
}

fn gzip_at(level: flate2::Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of entries with a name, a kind and content, written as they are.
fn tar_of(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("target").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<(&[u8], EntryType, &[u8])> =
        entries.iter().map(|(n, c)| (n.as_bytes(), EntryType::Regular, c.as_bytes())).collect();
    gzip(&tar_of(&entries))
}

fn packed(name: &str, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<(EntryPath, Vec<u8>)> =
        entries.iter().map(|(path, bytes)| (path.parse().unwrap(), bytes.to_vec())).collect();
    pack(name, &entries).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8], said: &str) {
    let error = read(bytes).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_chart_is_read_with_what_it_holds() {
    let db = packed("db", &[("Chart.yaml", b"apiVersion: v2\nname: db\nversion: 2.0.0\n")]);
    let archive = packed(
        "shop",
        &[
            ("Chart.yaml", CHART.as_bytes()),
            ("templates/a.yaml", b"a: 1\n"),
            ("charts/db-2.0.0.tgz", &db),
            ("charts/db-2.0.0.tgz.prov", b"signed"),
            ("charts/.hidden/x", b""),
            ("charts/cache/Chart.yaml", b"name: cache\nversion: 3.0.0\n"),
            (
                "charts/cache/requirements.yaml",
                b"dependencies: [{name: inner, version: 4.0.0, repository: ''}]\n",
            ),
            ("charts/cache/charts/inner/Chart.yaml", b"name: inner\nversion: 4.0.0\n"),
        ],
    );
    let mut seen = Vec::new();
    let chart = read_with(&archive, &mut |path, bytes| {
        seen.push(format!("{path}={}", bytes.len()));
        Ok(())
    })
    .unwrap();
    assert_eq!(chart.metadata.name.as_str(), "shop");
    let places: Vec<&str> = chart.subcharts.iter().map(|sub| sub.place.as_str()).collect();
    assert_eq!(places, ["charts/cache", "charts/db-2.0.0.tgz"]);
    assert_eq!(chart.subcharts[0].chart.subcharts[0].chart.metadata.version.as_str(), "4.0.0");
    assert_eq!(chart.subcharts[0].chart.metadata.dependencies.len(), 1);
    assert!(seen.contains(&"shop/templates/a.yaml=5".to_owned()), "{seen:?}");
    assert_eq!(chart.dependency_faults(), []);
}

#[test]
fn what_does_not_belong_in_a_chart_is_refused_by_name() {
    let with = |name: &[u8], kind: EntryType| {
        gzip(&tar_of(&[(b"shop/Chart.yaml", EntryType::Regular, CHART.as_bytes()), (name, kind, b"")]))
    };
    for (name, kind, said) in [
        (&b"shop/../../etc/x"[..], EntryType::Regular, "has \".\" or \"..\" in it"),
        (b"/etc/passwd", EntryType::Regular, "is absolute"),
        (b"shop/./x", EntryType::Regular, "has \".\" or \"..\" in it"),
        (b"shop/c:x", EntryType::Regular, "FAT or Windows"),
        (b"shop/a\\b", EntryType::Regular, "FAT or Windows"),
        (b"shop/con.yaml", EntryType::Regular, "device name"),
        (b"shop/a.", EntryType::Regular, "ends with a dot"),
        (b"shop/\xff\xfe", EntryType::Regular, "is not UTF-8"),
        (b"shop/link", EntryType::Symlink, "shop/link is a symbolic link"),
        (b"shop/link", EntryType::Link, "shop/link is a hard link"),
        (b"shop/dev", EntryType::Char, "shop/dev is a device"),
        (b"shop/dev", EntryType::Block, "shop/dev is a device"),
        (b"shop/pipe", EntryType::Fifo, "shop/pipe is a FIFO"),
        (b"shop/odd", EntryType::new(b'Z'), "of a kind that is not known"),
        (b"shop/Chart.yaml", EntryType::Regular, "is there twice"),
        (b"shop/chart.yaml", EntryType::Regular, "one file on filesystems without letter case"),
        (b"shop/Chart.yaml/x", EntryType::Regular, "lies inside it"),
        (b"other/x", EntryType::Regular, "other/x is not in the folder shop"),
        (b"x", EntryType::Regular, "x is not in the folder shop"),
        (b"Shop/x", EntryType::Regular, "Shop/x is not in the folder shop"),
    ] {
        refused(&with(name, kind), said);
    }
    refused(&files(&[("shop", "x")]), "shop is not in the folder");
    refused(&files(&[("store/Chart.yaml", CHART)]), "its folder is named store, and its chart shop");
    refused(&files(&[("shop/values.yaml", "")]), "it holds no shop/Chart.yaml");
    refused(&gzip(&[0; 1024]), "it holds no NAME/Chart.yaml");
    refused(
        &files(&[("shop/Chart.yaml", CHART), ("shop/charts/README.md", "")]),
        "no shop/charts/README.md/Chart.yaml",
    );
    let within = packed("shop", &[("Chart.yaml", CHART.as_bytes()), ("charts/db.tgz", b"no gzip")]);
    refused(&within, "shop/charts/db.tgz: it is not a gzipped tar");
    let folders = tar_of(&[
        (b"shop/", EntryType::Directory, b""),
        (b"shop/Chart.yaml", EntryType::Regular, CHART.as_bytes()),
    ]);
    assert!(read(&gzip(&folders)).is_ok());
}

#[test]
fn what_is_cut_off_or_goes_on_is_refused() {
    let good = files(&[("shop/Chart.yaml", CHART)]);
    assert!(read(&good).is_ok());
    for cut in [0, 1, 10, good.len() / 2, good.len() - 1] {
        refused(&good[..cut], "it is not a gzipped tar");
    }
    refused(b"not a gzip at all, but long enough to be looked at", "it is not a gzipped tar");
    refused(&[&good[..], b"more"].concat(), "it is not a gzipped tar");
    let mut tar = tar_of(&[(b"shop/Chart.yaml", EntryType::Regular, CHART.as_bytes())]);
    tar.resize(tar.len() + 10_000, 0);
    assert!(read(&gzip(&tar)).is_ok());
    tar.extend_from_slice(b"hidden");
    refused(&gzip(&tar), "bytes behind the end");
}

#[test]
fn bombs_are_cut_at_their_limit() {
    let zeros = vec![0; 5 << 20];
    let bomb: Vec<(Vec<u8>, EntryType, &[u8])> =
        (0..30).map(|n| (format!("shop/{n}").into_bytes(), EntryType::Regular, &zeros[..])).collect();
    let bomb: Vec<(&[u8], EntryType, &[u8])> = bomb.iter().map(|(n, k, c)| (&n[..], *k, *c)).collect();
    refused(&gzip(&tar_of(&bomb)), "it unpacks to more than 200 times");
    // Packed badly, it passes the other limit.
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 28) as u8
    };
    let word: Vec<u8> = (0..16 << 10).map(|_| noise()).collect();
    // One of sixty-four times a byte changes, so that it packs to about a fiftieth.
    let text: Vec<u8> = word
        .iter()
        .cycle()
        .take(5 << 20)
        .enumerate()
        .map(|(n, b)| if n % 64 == 0 { noise() } else { *b })
        .collect();
    let large: Vec<(Vec<u8>, EntryType, &[u8])> =
        (0..21).map(|n| (format!("shop/{n}").into_bytes(), EntryType::Regular, &text[..])).collect();
    let large: Vec<(&[u8], EntryType, &[u8])> = large.iter().map(|(n, k, c)| (&n[..], *k, *c)).collect();
    refused(
        &gzip_at(flate2::Compression::fast(), &tar_of(&large)),
        "it unpacks to more than 104857600 bytes",
    );
    // Behind the end of the tar, too.
    let mut long = tar_of(&[(b"shop/Chart.yaml", EntryType::Regular, CHART.as_bytes())]);
    long.resize(40 << 20, 0);
    refused(&gzip(&long), "it unpacks to more than 200 times");
    let large = vec![b'x'; (5 << 20) + 1];
    refused(&gzip(&tar_of(&[(b"shop/large", EntryType::Regular, &large)])), "shop/large has 5242881 bytes");
    let many: Vec<(&[u8], EntryType, &[u8])> = vec![(b"shop/", EntryType::Directory, b""); 20_001];
    refused(&gzip(&tar_of(&many)), "more than 20000 entries");
    assert!(matches!(read(&vec![0; (32 << 20) + 1]), Err(ArchiveError::TooLarge { .. })));
    // Archives within archives share one budget, and have a bottom.
    let mut nested = packed("shop", &[("Chart.yaml", CHART.as_bytes())]);
    for _ in 0..9 {
        nested = packed("shop", &[("Chart.yaml", CHART.as_bytes()), ("charts/shop.tgz", &nested)]);
    }
    refused(&nested, "nested more than 8 deep");
    let deep = "charts/shop/".repeat(9) + "Chart.yaml";
    refused(&packed("shop", &[("Chart.yaml", CHART.as_bytes()), (&deep, b"x")]), "nested more than 8 deep");
}

#[test]
fn noise_is_never_more_than_an_error() {
    let good = packed(
        "shop",
        &[("Chart.yaml", CHART.as_bytes()), ("charts/a/Chart.yaml", b"name: a\nversion: 1.0.0\n")],
    );
    let plain = {
        let mut plain = Vec::new();
        MultiGzDecoder::new(&good[..]).read_to_end(&mut plain).unwrap();
        plain
    };
    for at in 0..plain.len().min(2048) {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = plain.clone();
            bad[at] ^= flip;
            let _ = read(&gzip(&bad));
        }
    }
}

#[test]
fn packing_is_the_same_whatever_the_order() {
    let one = packed("shop", &[("Chart.yaml", CHART.as_bytes()), ("templates/a.yaml", b"a"), ("b", b"b")]);
    let other = packed("shop", &[("b", b"b"), ("templates/a.yaml", b"a"), ("Chart.yaml", CHART.as_bytes())]);
    assert_eq!(one, other);
    // The header names neither file, time nor system; the bytes are pinned, so that a change of the encoder is seen.
    assert_eq!(&one[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    assert_eq!(
        crate::digest::Digest::of(&one).to_string(),
        "sha256:e46a5562f4da3a0e997b8bcd3563765d47169a0727bbc5fd7b1ee86b3b2916a8"
    );
    let long = format!("files/{}/x", "y".repeat(150));
    let archive = packed("shop", &[("Chart.yaml", CHART.as_bytes()), (&long, b"x")]);
    assert!(read(&archive).is_ok());
}
