//! Signatures of images that came along broken: `verify` proves again what the vendor proved, and `load` counts what the registry keeps.

use std::fs;

use bundle::bundle::index::IndexReferrer;
use bundle::digest::Digest;
use bundle::oci::media;
use xtask::images::{Graph, Key, artifact, cosign_tag, signature};
use xtask::registry::{Action, Config, Rule, Server};

use super::forge::{Forgery, Yard, tags};
use super::world::World;

const EC: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// The public key beside `name`, as the index has it.
fn spki(yard: &Yard, name: &str) -> String {
    let pem = fs::read_to_string(yard.path(&format!("{name}.pub"))).unwrap();
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// Puts `graph` into the payload as the signature of `subject`.
fn attach(forgery: &mut Forgery, subject: Digest, graph: &Graph) {
    for (_, bytes) in &graph.blobs {
        let payload = bytes.starts_with(b"{\"critical\"");
        let kind =
            if payload { "application/vnd.dev.cosign.simplesigning.v1+json" } else { media::OCI_CONFIG };
        forgery.add(kind, bytes.to_vec());
    }
    let root = forgery.add(media::OCI_MANIFEST, graph.root().bytes.to_vec());
    forgery.referrers.push(IndexReferrer {
        artifact_type: None,
        digest: root,
        image: "docker.io/demo/two:v1".parse().unwrap(),
        subject,
        tag: Some(cosign_tag(&subject.to_string(), "sig")),
    });
}

#[test]
fn a_carried_signature_that_is_broken_refuses_the_bundle() {
    let yard = Yard::new();
    let key = Key::generate(&yard.path("cosign"), &EC).unwrap();
    let other = Key::generate(&yard.path("other"), &EC).unwrap();
    type Break = fn(Forgery, &str, [&Key; 2]) -> Forgery;
    let cases: [(&str, Break, &str); 5] = [
        ("whole", |f, two, [key, _]| signed(f, two, key, |graph| graph), ""),
        (
            "by another key",
            |f, two, [_, other]| signed(f, two, other, |graph| graph),
            "it is not a signature by key",
        ),
        (
            "of another image",
            |f, _, [key, _]| {
                let one = f.images[0].1.to_string();
                signed(f, &one, key, |graph| graph)
            },
            "it is a signature of",
        ),
        ("cut out", |f, _, _| f, ".sig is not there"),
        (
            "with another signature's bytes",
            |f, two, [key, _]| {
                let foreign = signature(&f.images[0].1.to_string(), "demo/two", key).unwrap();
                let foreign = annotation(&foreign);
                signed(f, two, key, |graph| with_annotation(graph, &foreign))
            },
            "it is not a signature by key",
        ),
    ];
    for (reason, make, says) in cases {
        let forgery = Forgery { cosign_key: Some(spki(&yard, "cosign")), ..Forgery::small() };
        let two = forgery.images[1].1.to_string();
        let bundle = make(forgery, &two, [&key, &other]).write(&yard, reason, &[&yard.key]);
        assert!(yard.verify_keyless(&bundle).ok, "{reason}: every byte is as signed");
        let seen = yard.verify(&bundle, &yard.judge());
        assert_eq!(seen.ok, says.is_empty(), "{reason}: {seen:?}");
        assert!(seen.text.contains(says), "{reason}: {seen:?}");
        assert!(
            says.is_empty() || seen.text.contains("docker.io/demo/two:v1 is not signed by key"),
            "{seen:?}"
        );
    }
}

/// The bundle with a signature about `about`, after `change`.
fn signed(mut forgery: Forgery, about: &str, key: &Key, change: impl FnOnce(Graph) -> Graph) -> Forgery {
    let subject = forgery.images[1].1;
    attach(&mut forgery, subject, &change(signature(about, "demo/two", key).unwrap()));
    forgery
}

fn annotation(graph: &Graph) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(&graph.root().bytes).unwrap();
    manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap().to_owned()
}

fn with_annotation(mut graph: Graph, signature: &str) -> Graph {
    let mut manifest: serde_json::Value = serde_json::from_slice(&graph.root().bytes).unwrap();
    manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"] = signature.into();
    let last = graph.documents.len() - 1;
    graph.documents[last].bytes = manifest.to_string().into_bytes().into();
    graph
}

#[test]
fn a_registry_that_swallows_what_refers_to_an_image_is_found_out() {
    let world = World::new("");
    let image = &world.images[0];
    let sbom =
        artifact("application/spdx+json", b"{\"spdxVersion\": \"SPDX-2.3\"}", Some(image.graph.root()));
    for (_, bytes) in &sbom.blobs {
        world.vendor.put_blob(&image.repository, bytes.clone());
    }
    let root = sbom.root();
    world.vendor.put_manifest(&image.repository, None, (root.media_type, root.bytes.clone())).unwrap();
    world.lock();
    let folder = world.build("out");
    let customer = Server::start(Config::default()).unwrap();
    // It takes everything, says so, and lists nothing of it.
    let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    customer.faults().add(Rule::new(Action::Index(empty.into())).method("GET").path("/referrers/"));
    let report = world.try_load_into(&folder, &customer.host()).unwrap();
    assert!(!report.ok);
    let why: Vec<&str> = report.items().filter_map(|item| item.why.as_deref()).collect();
    assert!(why.len() == 1 && why[0].contains("does not list all that refers to"), "{why:?}");
    let name = format!("mirror/{}:{}", image.repository, image.tag);
    assert!(!tags(&customer).contains_key(&name), "an image that lost its SBOM gets no name");
}
