//! Images too large for memory, written straight into an image layout.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::layer::header;
use super::{Compression, Document, Family, Layer, Seed, graph, layout};

/// What to write.
#[derive(Debug, Clone)]
pub struct Large {
    /// The image's name in the layout.
    pub tag: String,
    /// Where its bytes come from.
    pub seed: Seed,
    /// How many layers.
    pub layers: usize,
    /// Bytes of the one file in each.
    pub bytes: u64,
}

/// Writes an image for `linux/amd64` of uncompressed, incompressible layers into the image layout at `folder`, in
/// constant memory; returns its manifest.
pub fn write_large(folder: &Path, large: &Large) -> io::Result<Document> {
    let blobs = layout::prepare(folder)?;
    let mut seed = large.seed.clone();
    let mut listed = Vec::new();
    for _ in 0..large.layers {
        listed.push(write_layer(&blobs, &mut seed, large.bytes)?);
    }
    let diff_ids: Vec<&str> = listed.iter().map(|(digest, _)| digest.as_str()).collect();
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let layers = listed
        .iter()
        .map(|(digest, size)| json!({"mediaType": media_type, "digest": digest, "size": size}))
        .collect();
    let platform = json!({"os": "linux", "architecture": "amd64"});
    let graph = graph::over(Family::Oci, platform, (&graph::config("linux/amd64", &diff_ids), layers));
    graph.write_layout(folder, &large.tag)?;
    Ok(graph.root().clone())
}

/// Writes images for `linux/amd64` under `tags`, each of `layers` tiny layers that stand nowhere else.
pub fn write_many(folder: &Path, tags: &[String], layers: u64) -> io::Result<()> {
    for tag in tags {
        let layers: Vec<Layer> = (0..layers)
            .map(|number| Layer::of_files(&[("id", format!("{tag}/{number}").as_bytes())], Compression::None))
            .collect::<io::Result<_>>()?;
        graph::image(Family::Oci, "linux/amd64", &layers).write_layout(folder, tag)?;
    }
    Ok(())
}

/// One layer with one file; returns its digest and size.
fn write_layer(blobs: &Path, seed: &mut Seed, bytes: u64) -> io::Result<(String, u64)> {
    let temporary = blobs.join("layer.partial");
    let mut file = File::create(&temporary)?;
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut put = |piece: &[u8]| {
        hasher.update(piece);
        size += piece.len() as u64;
        file.write_all(piece)
    };
    let mut head = header(tar::EntryType::Regular, 0o644, bytes);
    head.set_path("opt/data.bin")?;
    head.set_cksum();
    put(head.as_bytes())?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        seed.fill(&mut buffer[..piece]);
        put(&buffer[..piece])?;
        left -= piece as u64;
    }
    // Padding to the tar's 512-byte blocks, and the two zero blocks that end it.
    let padding = usize::try_from(bytes.next_multiple_of(512) - bytes).unwrap_or(0);
    put(&vec![0; padding + 1024])?;
    let digest = hex::encode(hasher.finalize());
    fs::rename(&temporary, blobs.join(&digest))?;
    Ok((format!("sha256:{digest}"), size))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_layer_is_the_tar_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let large = Large { tag: "big".to_owned(), seed: Seed::new(7), layers: 1, bytes: (1 << 20) + 16 };
        write_large(folder.path(), &large).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut head = header(tar::EntryType::Regular, 0o644, (1 << 20) + 16);
        let content = Seed::new(7).bytes((1 << 20) + 16);
        tar.append_data(&mut head, "opt/data.bin", content.as_slice()).unwrap();
        let tar = tar.into_inner().unwrap();
        let name = hex::encode(Sha256::digest(&tar));
        assert!(fs::read(folder.path().join("blobs/sha256").join(name)).unwrap() == tar);
    }
}
