//! The image a pod's sandbox runs, which holds its namespaces and does nothing: made here, imported by containerd's own client.

use std::fs;

use serde_json::{Value, json};

use super::{Site, output};
use crate::images::{Compression, Family, Layer, standin, startable};

/// Its name on the node. Never pulled: it is there before the kubelet is.
pub(super) const NAME: &str = "bundle.invalid/pause:1";

/// Makes the image and gives it to containerd.
pub(super) fn import(site: &Site) -> Result<(), String> {
    let error = |error: std::io::Error| format!("{}: {error}", site.folder.display());
    let program = fs::read(standin::program(&site.path("pause"))?).map_err(error)?;
    let layer = Layer::of_files(&[("bin/pause", &program)], Compression::None).map_err(error)?;
    let platform = if std::env::consts::ARCH == "aarch64" { "linux/arm64" } else { "linux/amd64" };
    let layout = site.path("pause/layout");
    startable(Family::Oci, platform, &[layer], "/bin/pause").write_layout(&layout, "1").map_err(error)?;
    // The annotation that containerd names an imported image by.
    let index = fs::read(layout.join("index.json")).map_err(error)?;
    let mut index: Value = serde_json::from_slice(&index).map_err(|error| error.to_string())?;
    index["manifests"][0]["annotations"] = json!({"io.containerd.image.name": NAME});
    fs::write(layout.join("index.json"), index.to_string()).map_err(error)?;
    let file = site.path("pause/image.tar");
    let mut tar = tar::Builder::new(fs::File::create(&file).map_err(error)?);
    tar.append_dir_all(".", &layout).and_then(|()| tar.finish()).map_err(error)?;
    let mut ctr = site.ctr();
    ctr.args(["images", "import"]).arg(&file);
    output(ctr).map(drop)
}
