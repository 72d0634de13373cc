//! OCI image layouts on disk (image-spec image-layout.md).

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::{Document, Graph};

impl Graph {
    /// Writes everything into the image layout at `folder`, made when it is not there, under the name `tag`. An entry of
    /// that name is replaced; blobs that are there stay.
    pub fn write_layout(&self, folder: &Path, tag: &str) -> io::Result<()> {
        let blobs = prepare(folder)?;
        let documents = self.documents.iter().map(|document| (&document.digest, &document.bytes));
        for (digest, bytes) in self.blobs.iter().map(|(digest, bytes)| (digest, bytes)).chain(documents) {
            let path = blobs.join(digest.trim_start_matches("sha256:"));
            if !path.exists() {
                fs::write(path, bytes)?;
            }
        }
        enter(folder, self.root(), tag)
    }
}

/// Makes the folders and the marker file; returns where blobs go.
pub(super) fn prepare(folder: &Path) -> io::Result<std::path::PathBuf> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?;
    Ok(blobs)
}

/// Names `root` in `index.json`.
fn enter(folder: &Path, root: &Document, tag: &str) -> io::Result<()> {
    let path = folder.join("index.json");
    let mut entries: Vec<Value> = match fs::read(&path) {
        Ok(bytes) => {
            let index: Value = serde_json::from_slice(&bytes)?;
            index["manifests"].as_array().cloned().unwrap_or_default()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let key = "org.opencontainers.image.ref.name";
    entries.retain(|entry| entry["annotations"][key] != tag);
    entries.push(json!({
        "mediaType": root.media_type,
        "digest": root.digest,
        "size": root.bytes.len(),
        "annotations": {key: tag},
    }));
    let media_type = "application/vnd.oci.image.index.v1+json";
    fs::write(path, json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string())
}
