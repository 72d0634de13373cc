//! The lock's text and its proof.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::release::sections::{Gpu, Health, Migration, Requires, Stop};

fn blob(n: usize, media_type: &str) -> LockedBlob {
    LockedBlob { digest: Digest::of(&n.to_le_bytes()), size: n as u64, media_type: media_type.to_owned() }
}

fn image_manifest(n: usize, layers: Vec<LockedBlob>) -> LockedManifest {
    LockedManifest {
        digest: Digest::of(format!("manifest {n}").as_bytes()),
        size: 700,
        media_type: crate::oci::media::OCI_MANIFEST.to_owned(),
        platform: Some("linux/amd64".parse().unwrap()),
        inline: None,
        config: Some(blob(n, crate::oci::media::OCI_CONFIG)),
        layers,
        children: Vec::new(),
    }
}

fn index(n: usize, children: Vec<Digest>) -> LockedManifest {
    LockedManifest {
        digest: Digest::of(format!("index {n}").as_bytes()),
        size: 900,
        media_type: crate::oci::media::OCI_INDEX.to_owned(),
        platform: None,
        inline: None,
        config: None,
        layers: Vec::new(),
        children,
    }
}

fn lock(images: Vec<LockedImage>) -> Lock {
    Lock {
        format: FORMAT,
        release: Digest::of(b"release"),
        name: "demo".to_owned(),
        version: "1.2.0-rc.1+build.5".parse().unwrap(),
        vendor: "Ünïcode \"& Söhne\\ \u{2028}\u{1f98a}: #1".to_owned(),
        seal: Seal::Age,
        volume_size: ByteSize(4 << 30),
        images,
        charts: vec![],
        models: vec![],
        files: vec![],
        tools: vec![],
        license: None,
        upgrade: None,
        install: None,
    }
}

fn image(name: &str, manifests: Vec<LockedManifest>) -> LockedImage {
    LockedImage {
        reference: name.parse().unwrap(),
        from: None,
        original: None,
        platforms: vec!["linux/amd64".parse().unwrap()],
        manifests,
        referrers: vec![],
        left_behind: vec![],
        cosign_key: None,
        sboms: vec![],
    }
}

#[test]
fn what_is_written_is_read_again() {
    let child = image_manifest(1, vec![blob(7, "application/odd, type"), blob(7, "application/odd, type")]);
    let root = index(1, vec![child.digest]);
    let mut made = image_manifest(2, vec![]);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[]}}"#,
        crate::oci::media::OCI_MANIFEST,
        crate::oci::media::OCI_CONFIG,
        Digest::of(&2usize.to_le_bytes())
    );
    made.digest = Digest::of(text.as_bytes());
    made.size = text.len() as u64;
    made.inline = Some(text);
    let mut second = image("127.0.0.1:5000/b:v1", vec![made]);
    second.from = Some("docker-archive:a b.tar:null".to_owned());
    second.original = Some(Digest::of(b"original"));
    let lock = lock(vec![image("a/a:v1", vec![child, root]), second]);
    let rendered = lock.render();
    assert_eq!(Lock::parse(rendered.as_bytes(), "release.lock").unwrap(), lock, "{rendered}");
    assert_eq!(lock.render(), rendered);
    assert_eq!(rendered.matches("media-type: \"application/odd, type\"}\n").count(), 2);
}

/// A lock with one of everything beside its image.
fn everything() -> Lock {
    let child = image_manifest(1, vec![blob(7, "x/y")]);
    let signature = |n: usize, subject: Digest, tag: Option<String>| LockedReferrer {
        subject,
        tag,
        artifact_type: Some("application/spdx+json; v=1".to_owned()),
        manifests: vec![image_manifest(n, vec![blob(7, "x/y")])],
        sboms: vec![LockedSbom { digest: blob(7, "x/y").digest, kind: crate::oci::Sbom::CycloneDx }],
    };
    let mut first = image("a/a:v1", vec![child.clone()]);
    let tag = crate::oci::cosign::tag(&child.digest, "sig");
    first.referrers = vec![signature(2, child.digest, Some(tag))];
    let about = first.referrers[0].manifests[0].digest;
    first.referrers.push(signature(3, about, None));
    let mut lock = lock(vec![first]);
    let manifests = |n| vec![image_manifest(n, vec![blob(8, "x/y"), blob(9, "x/y")])];
    let key = include_bytes!("../../../tests/vectors/signing/license-public/rsa-2048.pem");
    lock.license = Some(LockedLicense {
        required: true,
        public_key: signing::license::LicenseKey::from_pem(key).unwrap(),
        features: vec!["airgapped".to_owned(), "on".to_owned()],
        grace_days: 30,
        warn_days: 14,
    });
    lock.upgrade = Some(LockedUpgrade {
        from: ">=1.1.0, <1.2.0".parse().unwrap(),
        stops: vec![Stop { from: "*".parse().unwrap(), version: "1.1.0".parse().unwrap() }],
        migrate: vec![
            Migration {
                answer: "on".to_owned(),
                before: Some("1.1.0".parse().unwrap()),
                drop: false,
                to: Some("no".to_owned()),
                values: [("a: \"b".to_owned(), "true".to_owned()), (String::new(), "5".to_owned())].into(),
            },
            Migration { answer: "b".to_owned(), before: None, drop: true, to: None, values: [].into() },
        ],
    });
    lock.install = Some(LockedInstall {
        questions: Some("docs/a, b.md".parse().unwrap()),
        values_template: Some("docs/a, b.md".parse().unwrap()),
        backup: Some("docs/a, b.md".parse().unwrap()),
        requires: Some(Requires {
            kubernetes: Some(">=1.24".parse().unwrap()),
            cpu_per_node: Some(4),
            memory_per_node: Some(ByteSize(8 << 30)),
            storage_class: true,
            ingress: false,
            postgres: Some("*".parse().unwrap()),
            gpu: Gpu::Optional,
        }),
        health: vec![Health { path: "/a?b=%20".to_owned(), port: 1, service: "on".to_owned() }],
    });
    lock.charts.push(LockedChart {
        name: "redis".to_owned(),
        version: "1.2.0+b5".to_owned(),
        from: "path:charts/my redis".to_owned(),
        release: Some("on".to_owned()),
        namespace: None,
        manifests: manifests(4),
        rendered: Some(Digest::of(b"rendered")),
        images: vec![FoundImage {
            reference: "a/a:v1".parse().unwrap(),
            found_in: vec!["templates/a.yaml:12, with values.yaml".to_owned(), "x]".to_owned()],
        }],
    });
    lock.models.push(LockedModel {
        name: "llama".to_owned(),
        version: lock.version.clone(),
        from: "hf://meta/llama@0123".to_owned(),
        notice: Some("LICENSE, v2".parse().unwrap()),
        manifests: manifests(5),
        files: vec![ModelFile {
            path: "LICENSE, v2".parse().unwrap(),
            size: 5,
            sha256: Digest::of(b"1234"),
            layers: vec![blob(8, "x/y").digest, blob(9, "x/y").digest],
        }],
    });
    lock.files.push(LockedFile {
        path: "docs/a, b.md".parse().unwrap(),
        size: 5,
        sha256: Digest::of(b"file"),
        from: "./a {b}.md".to_owned(),
    });
    lock.tools.push(LockedTool {
        name: "helm".to_owned(),
        platform: "linux/amd64".parse().unwrap(),
        path: "tools/linux-amd64/helm".parse().unwrap(),
        size: 5,
        sha256: Digest::of(b"tool"),
        from: "https://get.helm.sh/x".to_owned(),
    });
    lock
}

#[test]
fn everything_that_is_written_is_read_again() {
    let lock = everything();
    let rendered = lock.render();
    assert_eq!(Lock::parse(rendered.as_bytes(), "release.lock").unwrap(), lock, "{rendered}");
}

#[test]
fn graphs_are_in_payload_order_and_name_their_source() {
    let lock = everything();
    let graphs: Vec<(String, usize)> =
        lock.graphs().map(|graph| (graph.of.to_string(), graph.source)).collect();
    let sources: Vec<usize> = graphs.iter().map(|(_, source)| *source).collect();
    assert_eq!(sources, [0, 0, 0, 1, 2], "{graphs:?}");
    assert_eq!(graphs[3].0, "chart redis 1.2.0+b5");
    assert_eq!(graphs[4].0, "model llama");
}

#[test]
fn entries_that_cannot_be_are_named() {
    let twice = |list: &mut Vec<LockedFile>| list.push(list[0].clone());
    type Edit<'a> = &'a dyn Fn(&mut Lock);
    let cases: [(&str, Edit<'_>); 21] = [
        ("is none of its layers", &|l| l.images[0].referrers[0].sboms[0].digest = Digest::of(b"x")),
        ("neither a manifest of the image nor", &|l| l.images[0].referrers[0].subject = Digest::of(b"x")),
        ("neither a manifest of the image nor", &|l| l.images[0].referrers.reverse()),
        ("names another subject", &|l| l.images[0].referrers[1].tag = l.images[0].referrers[0].tag.clone()),
        ("it stands there twice", &|l| {
            let again = l.images[0].referrers[1].clone();
            l.images[0].referrers.push(again);
        }),
        ("printable ASCII", &|l| l.images[0].referrers[0].artifact_type = Some("\x1b".to_owned())),
        ("has no manifest", &|l| {
            l.images[0].referrers[1].manifests.clear();
            l.images[0].referrers[1].sboms.clear();
        }),
        ("valid repository", &|l| l.charts[0].name = "../x".to_owned()),
        ("invalid tag", &|l| l.charts[0].version = "1 2".to_owned()),
        ("charts/redis:1.2.0_b5 stands in the lock twice", &|l| l.charts.push(l.charts[0].clone())),
        ("models/llama:1.2.0-rc.1_build.5 stands in the lock twice", &|l| {
            l.models.push(l.models[0].clone());
        }),
        ("is not a name", &|l| l.models[0].name = "../x".to_owned()),
        ("is not in the layers", &|l| l.models[0].files[0].layers.push(Digest::of(b"x"))),
        ("is not among its files", &|l| l.models[0].notice = Some("other".parse().unwrap())),
        ("is there twice", &|l| twice(&mut l.files)),
        ("keep for something else", &|l| l.files[0].path = "volumes/x".parse().unwrap()),
        ("is not among the files", &|l| l.install.as_mut().unwrap().backup = Some("x".parse().unwrap())),
        ("is no address", &|l| l.install.as_mut().unwrap().health[0].path = "x".to_owned()),
        ("upgrade.from does not take it", &|l| l.upgrade.as_mut().unwrap().from = ">1.1.0".parse().unwrap()),
        ("says nothing, or two things", &|l| l.upgrade.as_mut().unwrap().migrate[0].drop = true),
        ("is not where a tool", &|l| l.tools[0].path = "docs/helm".parse().unwrap()),
    ];
    for (reason, edit) in cases {
        let mut lock = everything();
        edit(&mut lock);
        let fault = lock.validate().unwrap_err().to_string();
        assert!(fault.contains(reason), "{fault} should say {reason}");
    }
}

#[test]
fn a_higher_format_is_named_whatever_else_it_holds() {
    let text = lock(vec![]).render().replace("format: 1", "format: 7") + "novelty: {a: 1}\n";
    assert_eq!(
        Lock::parse(text.as_bytes(), "release.lock").unwrap_err(),
        Error::Format { file: "release.lock".into(), format: 7 }
    );
}

#[test]
fn broken_graphs_are_named() {
    let child = image_manifest(1, vec![blob(7, "x/y")]);
    let missing = index(1, vec![Digest::of(b"nowhere")]);
    let mut itself = index(1, vec![]);
    itself.children.push(itself.digest);
    let parent = index(1, vec![child.digest]);
    let mut other_size = image_manifest(2, vec![blob(7, "x/y")]);
    other_size.layers[0].size += 1;
    let mut lying = child.clone();
    lying.inline = Some("{}".into());
    let mut odd = child.clone();
    odd.media_type = "text/plain".into();
    let mut both = child.clone();
    both.children.push(child.digest);
    let cases: Vec<(&str, Vec<LockedManifest>)> = vec![
        ("has no manifest", vec![]),
        ("does not come before", vec![missing]),
        ("does not come before", vec![itself]),
        ("does not come before", vec![parent.clone(), child.clone()]),
        ("twice", vec![child.clone(), child.clone()]),
        ("not reached", vec![child.clone(), image_manifest(3, vec![])]),
        (
            "bytes here and",
            vec![child.clone(), other_size.clone(), { index(2, vec![child.digest, other_size.digest]) }],
        ),
        ("inline bytes", vec![lying]),
        ("media type", vec![odd]),
        ("does not come before", vec![both]),
    ];
    for (reason, manifests) in cases {
        let fault = lock(vec![image("a/a:v1", manifests)]).validate().unwrap_err().to_string();
        assert!(fault.contains(reason), "{fault} should say {reason}");
    }
    let twice = lock(vec![image("a/a:v1", vec![child.clone()]), image("a/a:v1", vec![child])]);
    assert!(matches!(twice.validate(), Err(GraphFault::Duplicate(_))));
}

#[test]
fn a_hundred_thousand_blobs_are_read_in_seconds() {
    let images = (0..1000)
        .map(|n| {
            let layers =
                (0..98).map(|m| blob(1000 + n * 98 + m, crate::oci::media::OCI_LAYER_GZIP)).collect();
            image(&format!("host.io/a{n}:v1"), vec![image_manifest(n, layers)])
        })
        .collect();
    let lock = lock(images);
    let text = lock.render();
    let start = std::time::Instant::now();
    let read = Lock::parse(text.as_bytes(), "release.lock").unwrap();
    let elapsed = start.elapsed();
    assert_eq!(read, lock);
    // The tests are not optimised fully and share the machine: ten times the target still shows a quadratic.
    assert!(elapsed.as_secs() < 20, "{elapsed:?}");
    println!("{} bytes of lock in {elapsed:?}", text.len());
}
