//! Docker archives, as made by every kind of writer, honest and not. Each case is named for its reason.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use bundle::digest::{Blob, Digest, Hasher};
use bundle::oci::Reference;
use bundle::release::lock::{LockedBlob, LockedImage};
use bundle::sources::{Archive, Error, Images, Named, Wish, resolve};
use bundle::store::{Pieces as _, Source as _};
use serde_json::json;
use tar::{EntryType, Header};

/// A tar under construction, with nothing between the test and its bytes.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    #[allow(clippy::too_many_arguments, reason = "they are the four parts of a tar entry")]
    fn entry(mut self, name: &[u8], kind: EntryType, link: &[u8], bytes: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(bytes);
        self.pad()
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(name.as_bytes(), EntryType::Regular, b"", bytes)
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Symlink, target.as_bytes(), b"")
    }

    fn pad(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

fn config(diff_ids: &[Digest]) -> Vec<u8> {
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    json!({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).to_string().into_bytes()
}

fn list(layers: &[&str]) -> Vec<u8> {
    json!([{"Config": "config.json", "RepoTags": ["demo/app:v1"], "Layers": layers}]).to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn holding(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.tar"), bytes).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("x.tar")
    }

    fn lock(&self) -> Result<LockedImage, Error> {
        let archive = Archive::open(&self.path())?;
        let reference: Reference = "demo/app:v1".parse().unwrap();
        let wish = Wish {
            reference: &reference,
            from: None,
            named: Named { tag: None, reference: &reference },
            platforms: None,
            previous: None,
        };
        resolve(&archive, &wish).map(|resolved| resolved.image)
    }

    /// Every blob of `image`, from the archive opened anew, from the front and from the middle.
    fn holds(&self, image: &LockedImage) {
        let archive = Archive::open(&self.path()).unwrap();
        for manifest in &image.manifests {
            let own = manifest.inline.is_none().then(|| manifest.blob());
            for blob in
                own.into_iter().chain(manifest.config.iter().chain(&manifest.layers).map(LockedBlob::blob))
            {
                let whole = read(&archive, &blob, 0);
                assert_eq!(Digest::of(&whole), blob.digest);
                let half = blob.size / 2;
                assert_eq!(read(&archive, &blob, half), whole[usize::try_from(half).unwrap()..]);
                assert!(read(&archive, &blob, blob.size).is_empty());
            }
        }
    }
}

fn read(archive: &Archive, blob: &Blob, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces = archive.open(blob, offset).unwrap();
    while let Some(piece) = pieces.next().unwrap() {
        assert!(!piece.is_empty());
        bytes.extend_from_slice(&piece);
    }
    bytes
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut hasher = Hasher::new();
    hasher.update(&[seed]);
    let block = hasher.finish();
    block.as_bytes().iter().copied().cycle().take(length).collect()
}

#[test]
fn layers_behind_links_compressed_or_of_the_same_size_are_told_apart() {
    let (one, two, three) = (noise(1, 700_000), noise(2, 700_000), noise(3, 5000));
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd][..], &noise(4, 100)].concat();
    let diff_ids =
        [Digest::of(&one), Digest::of(&two), Digest::of(&three), Digest::of(b"unknown"), Digest::of(&one)];
    let bytes = Tar::default()
        .file("./one/layer.tar", &one)
        .link("linked/layer.tar", "../one/layer.tar")
        .file("two/layer.tar", &two)
        .entry(b"hard.tar", EntryType::Link, b"two/layer.tar", b"")
        .file("three/layer.tar", &gzip(&three))
        .file("four/layer.tar", &zstd)
        .file("config.json", &config(&diff_ids))
        .file(
            "manifest.json",
            &list(&["one/layer.tar", "hard.tar", "three/layer.tar", "four/layer.tar", "linked/layer.tar"]),
        )
        .end();
    let bench = Bench::holding(&bytes);
    let image = bench.lock().unwrap();
    let layers = &image.manifests[0].layers;
    let types: Vec<&str> = layers.iter().map(|l| l.media_type.rsplit('.').next().unwrap()).collect();
    assert_eq!(types, ["tar", "tar", "tar+gzip", "tar+zstd", "tar"]);
    assert_eq!(layers[0], layers[4]);
    bench.holds(&image);
    assert_eq!(bench.lock().unwrap(), image, "the same archive gives the same manifest");
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let layer = noise(1, 3000);
    let long = format!("{}/layer.tar", "x".repeat(150));
    for describe in [
        Tar::default().entry(b"PaxHeader", EntryType::XHeader, b"", &pax("path", &long)),
        Tar::default().entry(b"././@LongLink", EntryType::GNULongName, b"", format!("{long}\0").as_bytes()),
    ] {
        let bytes = describe
            .file("cut-off", &layer)
            .file("config.json", &config(&[Digest::of(&layer)]))
            .file("manifest.json", &list(&[&long]))
            .end();
        let bench = Bench::holding(&bytes);
        bench.holds(&bench.lock().unwrap());
    }
}

#[test]
fn a_size_in_a_pax_header_goes_before_the_one_in_the_header() {
    let layer = noise(1, 3000);
    let mut tar = Tar::default().entry(b"PaxHeader", EntryType::XHeader, b"", &pax("size", "3000"));
    let start = tar.0.len();
    tar = tar.file("layer.tar", &layer);
    let mut header = Header::new_ustar();
    header.set_path("layer.tar").unwrap();
    header.set_size(0);
    header.set_cksum();
    tar.0[start..start + 512].copy_from_slice(header.as_bytes());
    let bytes = tar
        .file("config.json", &config(&[Digest::of(&layer)]))
        .file("manifest.json", &list(&["layer.tar"]))
        .end();
    let bench = Bench::holding(&bytes);
    bench.holds(&bench.lock().unwrap());
}

#[test]
fn manifests_of_a_layout_inside_are_used_as_they_are() {
    let layer = noise(1, 3000);
    let config = config(&[Digest::of(&layer)]);
    let described = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", &layer)],
        "annotations": {"its": "own"},
    })
    .to_string();
    let mut entry = described("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    entry["annotations"] = json!({
        "io.containerd.image.name": "docker.io/demo/app:v1", "org.opencontainers.image.ref.name": "v1",
    });
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let names = json!([{"Config": path(&config), "RepoTags": ["demo/app:v1"], "Layers": [path(&layer)]}]);
    let bytes = Tar::default()
        .entry(b"blobs/", EntryType::Directory, b"", b"")
        .file(&path(&layer), &layer)
        .file(&path(&config), &config)
        .file(&path(manifest.as_bytes()), manifest.as_bytes())
        .file("index.json", json!({"schemaVersion": 2, "manifests": [entry]}).to_string().as_bytes())
        .file("manifest.json", names.to_string().as_bytes())
        .file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)
        .end();
    let bench = Bench::holding(&bytes);
    let image = bench.lock().unwrap();
    assert_eq!(image.manifests[0].digest, Digest::of(manifest.as_bytes()));
    assert_eq!(image.manifests[0].inline, None);
    bench.holds(&image);
}

/// What is refused, and what the refusal says.
fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let layer = noise(1, 3000);
    let good = || {
        Tar::default()
            .file("layer.tar", &layer)
            .file("config.json", &config(&[Digest::of(&layer)]))
            .file("manifest.json", &list(&["layer.tar"]))
    };
    let with_list = |bytes: &[u8]| {
        Tar::default()
            .file("layer.tar", &layer)
            .file("config.json", &config(&[Digest::of(&layer)]))
            .file("manifest.json", bytes)
            .end()
    };
    let whole = good().end();
    let mut broken_sum = whole.clone();
    broken_sum[0] ^= 1;
    let mut endless = Header::new_gnu();
    endless.set_path("layer.tar").unwrap();
    endless.set_size(u64::MAX - 511);
    endless.set_cksum();
    let mut of_all_memory = Header::new_gnu();
    of_all_memory.set_path("././@LongLink").unwrap();
    of_all_memory.set_entry_type(EntryType::GNULongName);
    of_all_memory.set_size(1 << 20);
    of_all_memory.set_cksum();
    let mut long_name = of_all_memory.as_bytes().to_vec();
    long_name.resize(512 + (1 << 20), b'x');
    vec![
        ("empty", "it names no image", Vec::new()),
        ("zeroes-only", "it names no image", vec![0; 1024]),
        ("compressed-with-gzip", "compressed with gzip", gzip(&whole)),
        ("header-cut-off", "cut off", whole[..4000 + 100].to_vec()),
        ("entry-cut-off", "cut off", whole[..2000].to_vec()),
        ("checksum-that-does-not-hold", "it is not a tar", broken_sum),
        ("size-past-the-end", "cut off", [endless.as_bytes().to_vec(), vec![0; 1024]].concat()),
        ("name-of-a-mebibyte", "tar header", long_name),
        (
            "pax-size-that-is-no-number",
            "no number",
            Tar::default().entry(b"x", EntryType::XHeader, b"", &pax("size", "all")).file("a", b"").end(),
        ),
        (
            "pax-record-without-a-length",
            "pax header is broken",
            Tar::default().entry(b"x", EntryType::XHeader, b"", b"size=1\n").file("a", b"").end(),
        ),
        ("entry-twice", "stands in it twice", good().file("./layer.tar", b"").end()),
        ("link-that-climbs-out", "links out of", good().link("a/b", "../../etc/passwd").end()),
        ("name-that-climbs-out", "outside the archive", good().file("../x", b"").end()),
        ("name-that-is-not-text", "not UTF-8", good().entry(b"\xff", EntryType::Regular, b"", b"").end()),
        (
            "name-with-an-escape-sequence",
            "control characters",
            good().entry(b"\x1b[31m", EntryType::Regular, b"", b"").end(),
        ),
        ("sparse-entry", "is sparse", good().entry(b"s", EntryType::GNUSparse, b"", b"").end()),
        (
            "links-in-a-circle",
            "names layer.tar, which it does not hold",
            Tar::default()
                .link("layer.tar", "other.tar")
                .link("other.tar", "layer.tar")
                .file("config.json", &config(&[Digest::of(&layer)]))
                .file("manifest.json", &list(&["layer.tar"]))
                .end(),
        ),
        ("list-that-is-not-json", "manifest.json: ", with_list(b"[{")),
        ("list-larger-than-any", "at most 4194304 are read", with_list(&vec![b' '; (4 << 20) + 1])),
        ("list-of-nothing", "it names no image", with_list(b"[]")),
        ("list-nested-deep", "manifest.json: invalid type", with_list(&b"[".repeat(100_000))),
        ("layer-missing", "names gone.tar, which it does not hold", with_list(&list(&["gone.tar"]))),
        ("layer-that-climbs-out", "which it does not hold", with_list(&list(&["../../etc/passwd"]))),
        ("layers-fewer-than-configured", "lists 0 layers", with_list(&list(&[]))),
        (
            "layer-of-other-content",
            "where its configuration says",
            Tar::default()
                .file("layer.tar", &noise(9, 3000))
                .file("config.json", &config(&[Digest::of(&layer)]))
                .file("manifest.json", &list(&["layer.tar"]))
                .end(),
        ),
        (
            "gzip-layer-of-other-content",
            "where its configuration says",
            Tar::default()
                .file("layer.tar", &gzip(b"other"))
                .file("config.json", &config(&[Digest::of(&layer)]))
                .file("manifest.json", &list(&["layer.tar"]))
                .end(),
        ),
        (
            "gzip-layer-cut-off",
            "x.tar: ",
            Tar::default()
                .file("layer.tar", &gzip(&layer)[..20])
                .file("config.json", &config(&[Digest::of(&layer)]))
                .file("manifest.json", &list(&["layer.tar"]))
                .end(),
        ),
        (
            "configuration-that-is-not-json",
            "not an image configuration",
            Tar::default()
                .file("layer.tar", &layer)
                .file("config.json", b"{")
                .file("manifest.json", &list(&["layer.tar"]))
                .end(),
        ),
        (
            "layout-of-another-version",
            "other than 1.0.0",
            good().file("oci-layout", br#"{"imageLayoutVersion": "2.0.0"}"#).end(),
        ),
        (
            "layout-index-that-is-a-manifest",
            "index.json: ",
            good()
                .file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)
                .file("index.json", br#"{"schemaVersion": 2, "layers": [], "manifests": []}"#)
                .end(),
        ),
    ]
}

#[test]
fn hostile_archives_are_refused_by_what_is_wrong() {
    for (reason, says, bytes) in hostile() {
        let bench = Bench::holding(&bytes);
        match bench.lock() {
            Ok(image) => panic!("{reason}: locked as {image:?}"),
            Err(error) => assert!(error.to_string().contains(says), "{reason}: {error}\nshould say {says}"),
        }
        assert_eq!(fs::read(bench.path()).unwrap(), bytes, "{reason}: the archive was changed");
    }
}

#[test]
fn more_entries_than_any_archive_are_refused() {
    let mut tar = Tar::default();
    for n in 0..=100_000u32 {
        tar = tar.file(&n.to_string(), b"");
    }
    let error = Bench::holding(&tar.end()).lock().unwrap_err().to_string();
    assert!(error.contains("more than 100000 entries"), "{error}");
}

#[test]
fn what_is_not_a_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(Archive::open(&pipe).unwrap_err().to_string().contains("not a regular file"));
    assert!(Archive::open(folder.path()).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn an_image_that_is_not_there_is_named_with_those_that_are() {
    let layer = noise(1, 3000);
    let bytes = Tar::default()
        .file("layer.tar", &layer)
        .file("config.json", &config(&[Digest::of(&layer)]))
        .file("manifest.json", &list(&["layer.tar"]))
        .end();
    let bench = Bench::holding(&bytes);
    let archive = Archive::open(&bench.path()).unwrap();
    let reference: Reference = "demo/app:v1".parse().unwrap();
    let error = archive.root(&Named { tag: Some("v9"), reference: &reference }).unwrap_err();
    assert!(error.to_string().ends_with("holds no image named v9; it holds demo/app:v1"), "{error}");
}
