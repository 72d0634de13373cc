//! Manifests over layers, indexes over manifests (image-spec manifest.md, image-index.md, config.md; Docker schema 2).

use std::io;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Compression, Layer};
use crate::registry::{Server, digest_of};

/// Whose media types are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OCI image-spec 1.1.
    Oci,
    /// Docker image manifest v2, schema 2.
    Docker,
}

impl Family {
    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (Self::Oci, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (Self::Oci, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Self::Oci, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Self::Docker, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
            (Self::Docker, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (Self::Docker, Compression::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        }
    }
}

/// A manifest or an index, as its bytes.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is.
    pub media_type: &'static str,
    /// Which bytes.
    pub digest: String,
    /// The bytes.
    pub bytes: Bytes,
    /// For an image: `os`, `architecture` and perhaps `variant`, as in a descriptor.
    pub platform: Option<Value>,
}

impl Document {
    pub(super) fn new(media_type: &'static str, value: &Value, platform: Option<Value>) -> Self {
        let bytes = Bytes::from(value.to_string());
        Self { media_type, digest: digest_of(&bytes), bytes, platform }
    }

    pub(super) fn descriptor(&self) -> Value {
        let mut value =
            json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()});
        if let Some(platform) = &self.platform {
            value["platform"] = platform.clone();
        }
        value
    }
}

/// Everything one reference reaches.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Configurations and layers by digest, in order, each once.
    pub blobs: Vec<(String, Bytes)>,
    /// Manifests, children first, the root last.
    pub documents: Vec<Document>,
}

impl Graph {
    fn add_blob(&mut self, digest: &str, bytes: &Bytes) {
        if !self.blobs.iter().any(|(known, _)| known == digest) {
            self.blobs.push((digest.to_owned(), bytes.clone()));
        }
    }

    /// The manifest the reference names.
    #[must_use]
    pub fn root(&self) -> &Document {
        // A graph is made with at least one document and loses none.
        &self.documents[self.documents.len() - 1]
    }

    /// Puts everything into a registry, without requests.
    pub fn put(&self, server: &Server, repository: &str, tag: &str) -> io::Result<()> {
        for (_, bytes) in &self.blobs {
            server.put_blob(repository, bytes.clone());
        }
        for (at, document) in self.documents.iter().enumerate() {
            let tag = (at + 1 == self.documents.len()).then_some(tag);
            server
                .put_manifest(repository, tag, (document.media_type, document.bytes.clone()))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// A platform, written `os/architecture` or `os/architecture/variant`, as descriptors hold it.
fn platform_value(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut value = json!({"os": parts.next().unwrap_or(""), "architecture": parts.next().unwrap_or("")});
    if let Some(variant) = parts.next() {
        value["variant"] = variant.into();
    }
    value
}

/// An image for one platform (`linux/amd64`). The same layer may stand in `layers` more than once.
#[must_use]
pub fn image(family: Family, platform: &str, layers: &[Layer]) -> Graph {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    with_config(family, platform, (&config(platform, &diff_ids), layers))
}

/// The same, of an image that starts `entrypoint` and finds programs in `/bin`.
#[must_use]
pub fn startable(family: Family, platform: &str, layers: &[Layer], entrypoint: &str) -> Graph {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let mut config = config(platform, &diff_ids);
    config["config"] = json!({"Env": ["PATH=/bin"], "Entrypoint": [entrypoint], "WorkingDir": "/"});
    with_config(family, platform, (&config, layers))
}

fn with_config(family: Family, platform: &str, content: (&Value, &[Layer])) -> Graph {
    let (config, layers) = content;
    let listed = layers.iter().map(|layer| describe(family.layer(layer.compression), &layer.bytes)).collect();
    let mut graph = over(family, platform_value(platform), (config, listed));
    for layer in layers {
        graph.add_blob(&layer.digest, &layer.bytes);
    }
    graph
}

/// The configuration of an image for `platform` whose layers hold the tars `diff_ids`.
pub(super) fn config(platform: &str, diff_ids: &[&str]) -> Value {
    let created = "2024-01-01T00:00:00Z";
    let history: Vec<Value> =
        diff_ids.iter().map(|id| json!({"created": created, "created_by": format!("ADD {id}")})).collect();
    let mut config = platform_value(platform);
    config["created"] = created.into();
    config["config"] =
        json!({"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/bin/start"], "WorkingDir": "/"});
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    config["history"] = history.into();
    config
}

fn describe(media_type: &str, bytes: &Bytes) -> Value {
    json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()})
}

/// A manifest over a configuration and the descriptors of layers, which are still to be added.
pub(super) fn over(family: Family, platform: Value, content: (&Value, Vec<Value>)) -> Graph {
    let (config, layers) = content;
    let config = Bytes::from(config.to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": family.manifest(),
        "config": describe(family.config(), &config),
        "layers": layers,
    });
    Graph {
        blobs: vec![(digest_of(&config), config)],
        documents: vec![Document::new(family.manifest(), &manifest, Some(platform))],
    }
}

/// The statement `BuildKit` puts beside an image: a manifest of its own for platform `unknown/unknown`.
fn attestation(family: Family, subject: &Document) -> Graph {
    let predicate = "https://slsa.dev/provenance/v0.2";
    let hex = subject.digest.trim_start_matches("sha256:");
    let statement = Bytes::from(
        json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": predicate,
            "subject": [{"name": "image", "digest": {"sha256": hex}}],
            "predicate": {"buildType": "https://mobyproject.org/buildkit@v1"},
        })
        .to_string(),
    );
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    let mut config = unknown.clone();
    config["config"] = json!({});
    config["rootfs"] = json!({"type": "layers", "diff_ids": [digest_of(&statement)]});
    let mut layer = describe("application/vnd.in-toto+json", &statement);
    layer["annotations"] = json!({"in-toto.io/predicate-type": predicate});
    let mut graph = over(family, unknown, (&config, vec![layer]));
    graph.add_blob(&digest_of(&statement), &statement);
    graph
}

/// An image for several platforms; with `attested` each child has its attestation manifest beside it.
#[must_use]
pub fn index(family: Family, children: &[Graph], attested: bool) -> Graph {
    let mut whole = Graph { blobs: Vec::new(), documents: Vec::new() };
    let mut listed = Vec::new();
    for child in children {
        listed.push(child.root().descriptor());
    }
    let attestations: Vec<Graph> = children
        .iter()
        .filter(|_| attested)
        .map(|child| {
            let graph = attestation(family, child.root());
            let mut descriptor = graph.root().descriptor();
            descriptor["annotations"] = json!({
                "vnd.docker.reference.digest": child.root().digest,
                "vnd.docker.reference.type": "attestation-manifest",
            });
            listed.push(descriptor);
            graph
        })
        .collect();
    for part in children.iter().chain(&attestations) {
        for (digest, bytes) in &part.blobs {
            whole.add_blob(digest, bytes);
        }
        whole.documents.extend(part.documents.iter().cloned());
    }
    let value = json!({"schemaVersion": 2, "mediaType": family.index(), "manifests": listed});
    whole.documents.push(Document::new(family.index(), &value, None));
    whole
}
