//! What a trusted vendor signed and should not have: the content contradicts itself. `verify` with an identity names it; `load`
//! leaves no tag for it.

use bundle::bundle::tar;
use bundle::digest::Digest;
use bundle::oci::media;
use bundle::plan::payload::blob_name;

use super::forge::{Forgery, Yard, noise, pointer, tags};

const CONFIG: &str = media::OCI_CONFIG;
const LAYER: &str = media::OCI_LAYER;

fn manifest(config: &serde_json::Value, layers: &[serde_json::Value]) -> Vec<u8> {
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers,
    });
    manifest.to_string().into_bytes()
}

fn index(children: &[serde_json::Value]) -> Vec<u8> {
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children});
    index.to_string().into_bytes()
}

/// An image of one layer whose manifest says what `config` and `layers` say.
fn image(forgery: &mut Forgery, layers: impl FnOnce(serde_json::Value) -> Vec<serde_json::Value>) {
    forgery.add(CONFIG, b"{}".to_vec());
    let layer = noise(7, 1000);
    forgery.add(LAYER, layer.clone());
    let manifest = manifest(&pointer(CONFIG, b"{}"), &layers(pointer(LAYER, &layer)));
    forgery.image("bad", media::OCI_MANIFEST, manifest);
}

fn missing_layer(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer, pointer(LAYER, b"nowhere")]);
}

fn wrong_size(forgery: &mut Forgery) {
    image(forgery, |mut layer| {
        layer["size"] = 999.into();
        vec![layer]
    });
}

fn not_json(forgery: &mut Forgery) {
    forgery.image("bad", media::OCI_MANIFEST, b"<html>\x1b[2J".to_vec());
}

fn deep_json(forgery: &mut Forgery) {
    forgery.image("bad", media::OCI_MANIFEST, "[".repeat(1 << 20).into_bytes());
}

fn both_kinds(forgery: &mut Forgery) {
    let both = serde_json::json!({
        "schemaVersion": 2, "manifests": [], "config": pointer(CONFIG, b"{}"), "layers": [],
    });
    forgery.image("bad", media::OCI_MANIFEST, both.to_string().into_bytes());
}

fn other_kind(forgery: &mut Forgery) {
    forgery.image("bad", media::OCI_INDEX, manifest(&pointer(CONFIG, b"{}"), &[]));
}

fn huge_manifest(forgery: &mut Forgery) {
    let mut text = manifest(&pointer(CONFIG, b"{}"), &[]);
    text.resize((4 << 20) + 1, b' ');
    forgery.image("bad", media::OCI_MANIFEST, text);
}

fn image_that_is_a_layer(forgery: &mut Forgery) {
    forgery.image("bad", LAYER, noise(9, 100));
}

fn nested_too_deep(forgery: &mut Forgery) {
    let mut inner = manifest(&pointer(CONFIG, b"{}"), &[]);
    forgery.add(CONFIG, b"{}".to_vec());
    let mut kind = media::OCI_MANIFEST;
    for _ in 0..6 {
        forgery.add(kind, inner.clone());
        inner = index(&[pointer(kind, &inner)]);
        kind = media::OCI_INDEX;
    }
    forgery.image("bad", kind, inner);
}

fn wrong_bytes(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    let layer = forgery.pieces.iter_mut().find(|piece| piece.bytes.len() == 1000).unwrap();
    layer.bytes[500] ^= 1;
}

fn other_name_in_the_tar(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    let piece = forgery.pieces.last_mut().unwrap();
    piece.header = Some(tar::header("../../etc/cron.d/x", piece.bytes.len() as u64));
}

fn other_size_in_the_tar(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    let piece = forgery.pieces.last_mut().unwrap();
    piece.header = Some(tar::header(&blob_name(&piece.digest), 1));
}

/// Another image under the name of one, for who unpacks with stock tools.
fn other_image_in_the_layout(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    forgery.names = |file, text| match file {
        "index.json" => {
            let mut listing: serde_json::Value = serde_json::from_slice(&text).unwrap();
            listing["manifests"][0]["digest"] = listing["manifests"][1]["digest"].clone();
            listing.to_string().into_bytes()
        }
        _ => text,
    };
}

fn one_more_name_in_the_layout(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    forgery.names = |file, text| match file {
        "index.json" => {
            let mut listing: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let mut more = listing["manifests"][0].clone();
            more["annotations"]["org.opencontainers.image.ref.name"] = "docker.io/library/nginx:1".into();
            listing["manifests"].as_array_mut().unwrap().push(more);
            listing.to_string().into_bytes()
        }
        _ => text,
    };
}

/// A name for `docker load`, of a file that no image has.
fn other_layer_for_docker(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    forgery.names = |file, text| match file {
        "manifest.json" => {
            let entry = serde_json::json!([{
                "Config": blob_name(&Digest::of(b"{}")), "RepoTags": ["docker.io/demo/bad:v1"], "Layers": ["etc/passwd"],
            }]);
            entry.to_string().into_bytes()
        }
        _ => text,
    };
}

/// The right one.
fn good_name_for_docker(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    forgery.names = |file, text| match file {
        "manifest.json" => {
            let layer = blob_name(&Digest::of(&noise(7, 1000)));
            let entry = serde_json::json!([{
                "Config": blob_name(&Digest::of(b"{}")), "RepoTags": ["docker.io/demo/bad:v1"], "Layers": [layer],
            }]);
            entry.to_string().into_bytes()
        }
        _ => text,
    };
}

fn a_blob_of_nothing(forgery: &mut Forgery) {
    image(forgery, |layer| vec![layer]);
    forgery.add(LAYER, noise(11, 77));
}

/// What a load must do.
#[derive(PartialEq, Eq)]
enum Load {
    /// Say this, and leave no image at all, or all but this one.
    Refuse(&'static str),
    /// Put the image: only readers of the tar are misled, not those of the index.
    Fine,
}

#[test]
fn content_that_contradicts_itself_is_named_and_leaves_no_tag() {
    type Make = fn(&mut Forgery);
    let cases: [(&str, Make, &str, Load); 18] = [
        ("a good image", |f| image(f, |layer| vec![layer]), "", Load::Fine),
        ("a missing layer", missing_layer, "which the bundle does not hold", Load::Refuse("does not hold")),
        ("a wrong size", wrong_size, "has 999 bytes; the index says 1000", Load::Refuse("999 bytes")),
        ("not JSON", not_json, "it is not a manifest", Load::Refuse("it is not a manifest")),
        (
            "JSON of a million brackets",
            deep_json,
            "it is not a manifest",
            Load::Refuse("it is not a manifest"),
        ),
        ("both a manifest and an index", both_kinds, "both a manifest and an index", Load::Refuse("both")),
        ("listed as an index", other_kind, "both a manifest and an index", Load::Refuse("both")),
        ("a manifest of 4 MiB and a byte", huge_manifest, "larger than 4194304", Load::Refuse("manifest")),
        (
            "an image that is a layer",
            image_that_is_a_layer,
            "not listed as a manifest",
            Load::Refuse("manifest"),
        ),
        ("indexes in indexes", nested_too_deep, "nest too deep", Load::Refuse("nest too deep")),
        ("wrong bytes", wrong_bytes, "has the bytes of", Load::Refuse("wrong bytes")),
        ("another name in the tar", other_name_in_the_tar, "not the tar that", Load::Fine),
        ("another size in the tar", other_size_in_the_tar, "not the tar that", Load::Fine),
        ("another image in the layout", other_image_in_the_layout, "index.json at the beginning", Load::Fine),
        ("one more name in the layout", one_more_name_in_the_layout, "index.json at the beg", Load::Fine),
        ("another layer for docker", other_layer_for_docker, "manifest.json at the beg", Load::Fine),
        ("a name for docker", good_name_for_docker, "", Load::Fine),
        ("a blob of nothing", a_blob_of_nothing, "belongs to no image", Load::Fine),
    ];
    let yard = Yard::new();
    for (reason, make, deep, load) in cases {
        // A good image goes along.
        let mut forgery = Forgery::small();
        make(&mut forgery);
        let bundle = forgery.write(&yard, reason, &[&yard.key]);
        let seen = yard.verify_keyless(&bundle);
        assert!(seen.ok, "{reason}: the bytes are as signed: {seen:?}");
        let seen = yard.verify(&bundle, &yard.judge());
        assert_eq!(seen.ok, deep.is_empty(), "{reason}: {seen:?}");
        assert!(seen.text.contains(deep), "{reason}: {seen:?}");
        assert!(!seen.text.contains('\x1b'), "{reason}: {seen:?}");
        let (seen, registry) = yard.load(&bundle, &yard.judge());
        let has = tags(&registry).contains_key("mirror/demo/bad:v1");
        match load {
            Load::Fine => assert!(seen.ok && has, "{reason}: {seen:?}"),
            Load::Refuse(text) => {
                assert!(!seen.ok && seen.text.contains(text), "{reason}: {seen:?}");
                assert!(!has, "{reason}: {:?}", tags(&registry));
                assert!(!seen.text.contains('\x1b'), "{reason}: {seen:?}");
            }
        }
    }
}

#[test]
fn a_manifest_that_is_also_a_layer_is_put_as_both() {
    let yard = Yard::new();
    let mut forgery = Forgery::empty(1 << 20);
    forgery.add(CONFIG, b"{}".to_vec());
    let child = manifest(&pointer(CONFIG, b"{}"), &[]);
    let outer = manifest(&pointer(CONFIG, b"{}"), &[pointer(LAYER, &child)]);
    forgery.add(media::OCI_MANIFEST, child.clone());
    forgery.add(media::OCI_MANIFEST, outer.clone());
    let root = index(&[pointer(media::OCI_MANIFEST, &outer), pointer(media::OCI_MANIFEST, &child)]);
    forgery.image("bad", media::OCI_INDEX, root);
    let bundle = forgery.write(&yard, "both", &[&yard.key]);
    let (seen, registry) = yard.load(&bundle, &yard.judge());
    assert!(seen.ok, "{seen:?}");
    assert!(registry.manifest("mirror/demo/bad", &Digest::of(&child).to_string()).is_some());
}

#[test]
fn a_volume_sealed_under_another_key_is_named() {
    let yard = Yard::new();
    for (foreign, expected) in [(0, "0001.tar.age"), (1, "0002.tar.age")] {
        let forgery = Forgery { foreign: Some(foreign), ..Forgery::small() };
        let bundle = forgery.write(&yard, expected, &[&yard.key]);
        assert!(yard.verify_keyless(&bundle).ok);
        let seen = yard.verify(&bundle, &yard.judge());
        assert!(!seen.ok && seen.text.contains(expected), "{seen:?}");
        assert!(seen.text.contains("is as signed, but bytes 0 to "), "{seen:?}");
        let (seen, registry) = yard.load(&bundle, &yard.judge());
        let text = format!("{expected} was sealed for another release key");
        assert!(!seen.ok && seen.text.contains(&text), "{seen:?}");
        assert!(tags(&registry).is_empty());
    }
}
