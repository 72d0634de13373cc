//! The release engineer: images, a chart, a licence, and three versions of a signed and sealed bundle, the last of which is broken.

use std::fs;
use std::path::Path;

use xtask::images::standin;
use xtask::registry::{Config, Server};
use xtask::tools;

use super::Desk;
use crate::{Outcome, say};

/// One version of the product.
struct Version {
    number: &'static str,
    /// Tag of its image.
    tag: &'static str,
    /// What its pods are started with.
    arguments: &'static str,
    /// Its part of release.yaml.
    upgrade: &'static str,
    /// How it is built: nothing, or as an upgrade.
    since: &'static str,
    /// Name of the folder that is delivered.
    folder: &'static str,
}

const VERSIONS: [Version; 3] = [
    Version { number: "1.0.0", tag: "v1", arguments: "[]", upgrade: "", since: "", folder: "shop-1.0.0" },
    Version {
        number: "1.1.0",
        tag: "v2",
        arguments: "[]",
        upgrade: "upgrade: {from: \">=1.0.0, <1.1.0\"}\n",
        since: " --since out/shop-1.0.0",
        folder: "shop-1.1.0-from-1.0.0",
    },
    // It wants a model that is not there, and ends at once.
    Version {
        number: "1.2.0",
        tag: "v2",
        arguments: "[--model=/nowhere]",
        upgrade: "upgrade: {from: \">=1.1.0, <1.2.0\"}\n",
        since: "",
        folder: "shop-1.2.0",
    },
];

/// Cuts all versions, each from its own folder, into `out`.
pub(super) fn cut(desk: &Desk<'_>) -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    say::heading("The vendor cuts three releases");
    let vendor = Server::start(Config::default()).map_err(text)?;
    let program = fs::read(standin::program(&desk.folder.join("standin"))?).map_err(text)?;
    for tag in ["v1", "v2"] {
        let reference = format!("acme/agent:{tag}");
        let image = standin::image(&reference, &["linux/amd64", "linux/arm64"], &program).map_err(text)?;
        image.graph.put(&vendor, &image.repository, &image.tag).map_err(text)?;
    }
    fs::write(desk.folder.join("answers.yaml"), "host: shop.acme.example\nreplicas: 2\n").map_err(text)?;
    for line in [
        "keygen signing --out ci",
        "keygen signing --out license",
        "keygen recipient --out escrow",
        "keygen recipient --out acme",
        "trust init --key ci.pub --threshold 1 --out trust.json",
    ] {
        desk.run(line)?;
    }
    for version in &VERSIONS {
        version.write(desk.folder, &vendor.host()).map_err(text)?;
        version.build(desk)?;
    }
    desk.run("diff out/shop-1.0.0 out/shop-1.1.0-from-1.0.0")?;
    fs::create_dir_all(desk.folder.join("out/shop-1.0.0/licenses")).map_err(text)?;
    desk.run(
        "license issue --key license.key --customer acme --tier standard --issuer Shop --expires 2099-01-01 --out out/shop-1.0.0/licenses/acme.lic",
    )
}

impl Version {
    /// The files a person writes.
    fn write(&self, folder: &Path, vendor: &str) -> std::io::Result<()> {
        let own = folder.join(self.number);
        let fill = |text: &str| {
            text.replace("VENDOR", vendor)
                .replace("VERSION", self.number)
                .replace("TAG", self.tag)
                .replace("ARGUMENTS", self.arguments)
        };
        let release = include_str!("release.yaml").to_owned() + self.upgrade;
        for (path, content) in [
            ("release.yaml", release.as_str()),
            ("questions.yaml", include_str!("questions.yaml")),
            ("values.yaml.j2", "replicas: {{ answers.replicas }}\nhost: {{ answers.host }}\n"),
            ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: VERSION\nappVersion: VERSION\n"),
            (
                "chart/values.yaml",
                "image: docker.io/acme/agent:TAG\nreplicas: 1\nhost: shop.example.com\narguments: ARGUMENTS\n",
            ),
        ] {
            put(&own.join(path), &fill(content))?;
        }
        put(&own.join("chart/templates/all.yaml"), include_str!("chart.yaml"))?;
        fs::copy(folder.join("license.pub"), own.join("license.pub")).map(drop)
    }

    fn build(&self, desk: &Desk<'_>) -> Outcome {
        let Self { number, since, folder, .. } = self;
        let helm = tools::helm4()?.display().to_string();
        desk.run(&format!("lock -f {number}/release.yaml --helm {helm}"))?;
        desk.run(&format!(
            "build -f {number}/release.yaml --out out --sign-key ci.key --recipient escrow.pub{since}"
        ))?;
        desk.run(&format!("grant out/{folder} --identity escrow.key --recipient acme.pub --name acme"))
    }
}

fn put(path: &Path, content: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, content)
}
