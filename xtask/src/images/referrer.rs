//! What refers to images: signatures as cosign makes them, SBOMs as artifacts with a subject.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::{Document, Graph};
use crate::registry::digest_of;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A private key in a file, used through `openssl`.
#[derive(Debug, Clone)]
pub struct Key(PathBuf);

impl Key {
    /// Makes a key by `openssl genpkey` with these `options` (`-algorithm EC -pkeyopt ec_paramgen_curve:P-256`): `<prefix>.key`, and the
    /// public one in `<prefix>.pub`.
    pub fn generate(prefix: &Path, options: &[&str]) -> io::Result<Self> {
        let (key, public) = (prefix.with_extension("key"), prefix.with_extension("pub"));
        run(Command::new("openssl").arg("genpkey").args(options).arg("-out").arg(&key), b"")?;
        run(
            Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public),
            b"",
        )?;
        Ok(Self(key))
    }

    /// Where the public key lies.
    #[must_use]
    pub fn public(&self) -> PathBuf {
        self.0.with_extension("pub")
    }

    /// A signature over `message`, as cosign makes it with a key of this kind.
    pub fn sign(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let text = run(Command::new("openssl").args(["pkey", "-noout", "-text", "-in"]).arg(&self.0), b"")?;
        let mut command = Command::new("openssl");
        if text.starts_with(b"ED25519") {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("message");
            std::fs::write(&path, message)?;
            command.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(&self.0).arg("-in").arg(&path);
            return run(&mut command, b"");
        }
        run(command.args(["dgst", "-sha256", "-sign"]).arg(&self.0), message)
    }
}

fn run(command: &mut Command, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(output.stdout)
}

/// The tag under which cosign keeps what ends in `ending` about `subject`.
#[must_use]
pub fn cosign_tag(subject: &str, ending: &str) -> String {
    format!("{}.{ending}", subject.replace(':', "-"))
}

/// A signature of the manifest `subject` of `repository`, in the form that `cosign sign --key` pushes under its `.sig` tag.
pub fn signature(subject: &str, repository: &str, key: &Key) -> io::Result<Graph> {
    // Written out: cosign writes the keys in this order, and the bytes are what is signed.
    let payload = format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{repository}\"}},\"image\":{{\"docker-manifest-digest\":\"{subject}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
    );
    let signed = STANDARD.encode(key.sign(payload.as_bytes())?);
    let payload = Bytes::from(payload);
    let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut layer = json!({"mediaType": kind, "digest": digest_of(&payload), "size": payload.len()});
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signed});
    let config = Bytes::from(
        json!({
            "architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "history": [{"created": "0001-01-01T00:00:00Z"}],
            "os": "", "rootfs": {"type": "layers", "diff_ids": [digest_of(&payload)]},
        })
        .to_string(),
    );
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(&config), "size": config.len(),
        },
        "layers": [layer],
    });
    Ok(Graph {
        blobs: vec![(digest_of(&config), config), (digest_of(&payload), payload)],
        documents: vec![Document::new(MANIFEST, &manifest, None)],
    })
}

/// An artifact of `kind` with one layer of that type, about `subject` where there is one (image-spec 1.1, guidance for artifacts).
#[must_use]
pub fn artifact(kind: &str, content: &[u8], subject: Option<&Document>) -> Graph {
    let (config, content) = (Bytes::from_static(b"{}"), Bytes::copy_from_slice(content));
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": EMPTY, "digest": digest_of(&config), "size": 2},
        "layers": [{"mediaType": kind, "digest": digest_of(&content), "size": content.len()}],
        "annotations": {"org.opencontainers.image.created": "2024-01-01T00:00:00Z"},
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({
            "mediaType": subject.media_type, "digest": subject.digest, "size": subject.bytes.len(),
        });
    }
    Graph {
        blobs: vec![(digest_of(&config), config), (digest_of(&content), content)],
        documents: vec![Document::new(MANIFEST, &manifest, None)],
    }
}
