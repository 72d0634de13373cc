//! The images of a small product: one of every kind that real registries hold.

use std::io;

use super::{Compression, Family, Graph, Layer, Seed, image, index};

/// An image with its name.
#[derive(Debug, Clone)]
pub struct Named {
    /// Repository below the registry: `incidentfox/agent`.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// The image.
    pub graph: Graph,
}

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Seven images under `prefix`, about 8 MiB in all. The last is for `linux/amd64` alone, the others for `linux/arm64` too.
///
/// Among them: OCI indexes and a Docker manifest list, gzip, zstd and plain layers, attestation manifests, an empty
/// layer, a layer that stands twice in one image, and base layers that all share.
pub fn sample(prefix: &str, tag: &str) -> io::Result<Vec<Named>> {
    let gzip = Compression::Gzip;
    let kinds = [
        ("agent", Family::Oci, gzip, true),
        ("web-ui", Family::Oci, gzip, false),
        ("orchestrator", Family::Docker, gzip, false),
        ("config-service", Family::Oci, Compression::Zstd, true),
        ("knowledge-base", Family::Oci, Compression::None, false),
        ("slack-bot", Family::Docker, gzip, false),
    ];
    let mut images = Vec::new();
    for (name, family, compression, attested) in kinds {
        let children: Vec<Graph> = PLATFORMS
            .iter()
            .map(|platform| Ok(image(family, platform, &layers(name, tag, (platform, compression))?)))
            .collect::<io::Result<_>>()?;
        images.push((name, index(family, &children, attested)));
    }
    let mut serving = layers("vllm-openai", tag, ("linux/amd64", gzip))?;
    serving.push(Layer::seeded(Seed::of("vllm-openai weights"), 3 << 20, gzip)?);
    images.push(("vllm-openai", image(Family::Docker, "linux/amd64", &serving)));
    Ok(images
        .into_iter()
        .map(|(name, graph)| Named { repository: format!("{prefix}/{name}"), tag: tag.to_owned(), graph })
        .collect())
}

/// A shared base, an empty layer, the program twice over, and data of its own.
fn layers(name: &str, tag: &str, how: (&str, Compression)) -> io::Result<Vec<Layer>> {
    let (platform, compression) = how;
    let release = format!("NAME=\"Sample\"\nPLATFORM={platform}\n");
    let library = Seed::of(platform).bytes(256 << 10);
    let base = Layer::of_files(
        &[("etc/os-release", release.as_bytes()), ("lib/base.so", &library)],
        Compression::Gzip,
    )?;
    let start = format!("#!/bin/sh\nexec /bin/{name} --version {tag}\n");
    let program = Layer::of_files(&[("bin/start", start.as_bytes())], compression)?;
    let data = Layer::seeded(Seed::of(&format!("{name} {platform} {tag}")), 300 << 10, compression)?;
    Ok(vec![base, Layer::empty(compression)?, program.clone(), data, program])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::registry::{Config, Server};

    #[test]
    fn a_strict_registry_takes_every_sample() {
        let server = Server::start(Config::default()).unwrap();
        for named in sample("incidentfox", "v1.2.0").unwrap() {
            named.graph.put(&server, &named.repository, &named.tag).unwrap();
            let root = server.manifest(&named.repository, "v1.2.0").unwrap();
            assert_eq!(root.1, named.graph.root().bytes);
        }
        assert_eq!(server.repositories().len(), 7);
    }

    #[test]
    fn samples_are_the_same_every_time() {
        let digests = || -> Vec<String> {
            let images = sample("x", "v1").unwrap();
            images.into_iter().map(|named| named.graph.root().digest.clone()).collect()
        };
        assert_eq!(digests(), digests());
    }
}
