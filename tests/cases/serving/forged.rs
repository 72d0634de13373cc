//! A bundle with one of everything: an image for two platforms, what refers to it, a chart, a model.

use std::path::PathBuf;

use bundle::bundle::index::{IndexChart, IndexModel, IndexReferrer};
use bundle::digest::Digest;
use bundle::oci::media;
use serde_json::{Value, json};

use super::Serving;
use crate::cases::forge::{Forgery, Yard, noise, pointer};
use crate::cases::program::Program;

/// One of everything, signed, sealed and granted.
pub(crate) struct Forged {
    yard: Yard,
    bundle: PathBuf,
    pub(crate) program: Program,
    pub(crate) manifests: Vec<Digest>,
    pub(crate) blobs: Vec<Digest>,
    /// Manifests that others refer to.
    pub(crate) subjects: Vec<Digest>,
    pub(crate) chart: Vec<u8>,
    pub(crate) model: Vec<(&'static str, Vec<u8>)>,
}

const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

fn add(forgery: &mut Forgery, media_type: &str, bytes: &[u8]) -> Value {
    forgery.add(media_type, bytes.to_vec());
    pointer(media_type, bytes)
}

fn manifest(forgery: &mut Forgery, manifest: &Value) -> Value {
    add(forgery, media::OCI_MANIFEST, manifest.to_string().as_bytes())
}

fn digest(pointer: &Value) -> Digest {
    pointer["digest"].as_str().unwrap().parse().unwrap()
}

fn tar_of(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_path(path).unwrap();
    header.set_cksum();
    builder.append(&header, bytes).unwrap();
    builder.into_inner().unwrap()
}

impl Forged {
    pub(crate) fn new() -> Self {
        let mut forgery = Forgery::empty(128 << 10);
        let mut children = Vec::new();
        for (seed, architecture) in [(1, "amd64"), (2, "arm64")] {
            let files = tar_of("etc/app", &noise(seed, 100_000));
            let config = json!({
                "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/true"]},
                "rootfs": {"type": "layers", "diff_ids": [Digest::of(&files)]},
            });
            let config = add(&mut forgery, media::OCI_CONFIG, config.to_string().as_bytes());
            let layer = add(&mut forgery, media::OCI_LAYER, &files);
            let image = json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer],
            });
            let mut child = manifest(&mut forgery, &image);
            child["platform"] = json!({"architecture": architecture, "os": "linux"});
            children.push(child);
        }
        let mut manifests: Vec<Digest> = children.iter().map(digest).collect();
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children});
        let index = index.to_string().into_bytes();
        let root = pointer(media::OCI_INDEX, &index);
        forgery.image("app", media::OCI_INDEX, index);
        manifests.push(digest(&root));
        let empty = add(&mut forgery, "application/vnd.oci.empty.v1+json", b"{}");
        for (kind, text) in
            [("application/spdx+json", "an SBOM"), ("application/vnd.acme.signature", "a signature")]
        {
            let layer = add(&mut forgery, "text/plain", text.as_bytes());
            let referrer = json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": kind, "config": empty,
                "layers": [layer], "subject": root, "annotations": {"org.acme.what": text},
            });
            let referrer = digest(&manifest(&mut forgery, &referrer));
            manifests.push(referrer);
            forgery.referrers.push(IndexReferrer {
                artifact_type: Some(kind.to_owned()),
                digest: referrer,
                image: "docker.io/demo/app:v1".parse().unwrap(),
                subject: digest(&root),
                tag: None,
            });
        }
        let chart = noise(7, 5000);
        let config = add(
            &mut forgery,
            "application/vnd.cncf.helm.config.v1+json",
            br#"{"name":"app","version":"1.2.0+b1"}"#,
        );
        let layer = add(&mut forgery, CHART, &chart);
        let root_of_chart = manifest(
            &mut forgery,
            &json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer]}),
        );
        forgery.charts.push(IndexChart {
            digest: digest(&root_of_chart),
            name: "app".into(),
            namespace: None,
            release: None,
            version: "1.2.0+b1".into(),
        });
        let model = vec![("config.json", b"{}\n".to_vec()), ("weights/a.safetensors", noise(9, 300_000))];
        let tars: Vec<Vec<u8>> = model.iter().map(|(path, bytes)| tar_of(path, bytes)).collect();
        let layers: Vec<Value> = tars.iter().map(|tar| add(&mut forgery, media::OCI_LAYER, tar)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": tars.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>()},
        });
        let config = add(&mut forgery, media::OCI_CONFIG, config.to_string().as_bytes());
        let root_of_model = manifest(
            &mut forgery,
            &json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers}),
        );
        forgery.models.push(IndexModel {
            digest: digest(&root_of_model),
            name: "llama".into(),
            notice: None,
            version: "1.2.0".parse().unwrap(),
        });
        let blobs =
            forgery.pieces.iter().map(|piece| piece.digest).filter(|d| !manifests.contains(d)).collect();
        let yard = Yard::new();
        let bundle = forgery.write(&yard, "bundle", &[&yard.key]);
        let program = Program::at(&yard.path(""));
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        Self { yard, bundle, program, manifests, blobs, subjects: vec![digest(&root)], chart, model }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.yard.path(name)
    }

    pub(crate) fn words(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let bundle = self.bundle.display().to_string();
        let mut words = vec![verb, &bundle, "--trust", "trust.json", "--identity", "acme.key", "--json"];
        words.extend(more);
        words.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn serving(&self, more: &[&str]) -> Serving {
        let words = self.words("serve", &[&["--listen", "127.0.0.1:0"], more].concat());
        Serving::start(self.program.command(&words))
    }
}

#[test]
fn charts_models_and_referrers_are_found_where_a_registry_has_them() {
    let forged = Forged::new();
    let serving = forged.serving(&[]);
    let names = serving.get("/v2/_catalog").json();
    assert_eq!(names["repositories"], json!(["charts/app", "demo/app", "models/llama"]));
    assert_eq!(serving.get("/v2/charts/app/tags/list").json()["tags"], json!(["1.2.0_b1"]));
    assert_eq!(serving.get("/v2/models/llama/manifests/1.2.0").status, 200);
    let chart = serving.get("/v2/charts/app/manifests/1.2.0_b1").json();
    let layer = chart["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(serving.get(&format!("/v2/charts/app/blobs/{layer}")).body, forged.chart);

    let path = format!("/v2/demo/app/referrers/{}", forged.subjects[0]);
    let all = serving.get(&path);
    assert_eq!(all.header("content-type"), Some(media::OCI_INDEX));
    let all = all.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(all.len(), 2);
    let text = all[0]["annotations"]["org.acme.what"].as_str();
    assert_eq!((all[0]["artifactType"].as_str(), text), (Some("application/spdx+json"), Some("an SBOM")));
    let signed = serving.get(&format!("{path}?artifactType=application%2Fvnd.acme.signature"));
    assert_eq!(signed.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(signed.json()["manifests"].as_array().unwrap()[..], all[1..]);
    let none = format!("/v2/demo/app/referrers/{}", forged.manifests[0]);
    assert_eq!(serving.get(&none).json()["manifests"], json!([]));
}
