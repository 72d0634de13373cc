//! A bundle that can be installed, as it lies before an operator: signed, with a licence beside it, and a real cluster to go to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use signing::license::{Claims, Entitlements};
use signing::time::Time;
use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Config, Server};

use super::cluster;
use super::program::Outcome;
use super::stage::Stage;

/// What the release asks of a cluster; the machine that tests has it.
pub(crate) const REQUIRES: &str = "kubernetes: \">=1.24\", cpu-per-node: 1, memory-per-node: 1GiB, storage-class: true, ingress: true, gpu: optional";

/// A vendor's and a customer's folder.
pub(crate) struct Site {
    pub(crate) stage: Stage,
    pub(crate) bundle: PathBuf,
}

impl Site {
    /// A release that asks for `requires`, its bundle, and no licence beside it yet.
    pub(crate) fn new(requires: &str) -> Self {
        let vendor = Server::start(Config::default()).unwrap();
        let layer = Layer::seeded(Seed::of("site"), 2000, Compression::None).unwrap();
        // One deep name, one shallow.
        let images: Vec<Named> = ["acme/team/one", "acme/two"]
            .map(|name| {
                let graph = image(Family::Oci, "linux/amd64", std::slice::from_ref(&layer));
                graph.put(&vendor, name, "v1").unwrap();
                Named { repository: name.to_owned(), tag: "v1".to_owned(), graph }
            })
            .into();
        let stage = Stage::new();
        stage.program.done(&["keygen", "signing", "--out", "license"]);
        let sections = format!(
            "seal: none\nlicense: {{required: true, public-key: license.pub, features: [], grace-days: 30, warn-days: 14}}\n\
             install:\n  requires: {{{requires}}}\n"
        );
        stage.release(&sections, &images, &vendor.host());
        stage.program.done(&["lock"]);
        stage.program.done(&["build", "--out", "out", "--sign-key", "vendor.key"]);
        let bundle = stage.bundle("out");
        fs::create_dir_all(bundle.join("licenses")).unwrap();
        Self { stage, bundle }
    }

    /// As [`license`], by the key of this site's vendor.
    pub(crate) fn license(&self, customer: &str, days: i64) -> String {
        license(&self.stage.path("license.key"), customer, days, &[])
    }

    /// Puts a licence beside the bundle, and takes away those that were there.
    pub(crate) fn put_license(&self, file: &str, text: &str) {
        let folder = self.bundle.join("licenses");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    /// `VERB BUNDLE --trust …` with more, against the cluster of `kubeconfig`.
    pub(crate) fn command(&self, verb: &str, more: &[&str], kubeconfig: &Path) -> Command {
        let bundle = self.bundle.display().to_string();
        let mut words: Vec<&str> = verb.split(' ').collect();
        words.extend([bundle.as_str(), "--trust", "trust.json"]);
        words.extend(more);
        let mut command = self.stage.program.command(&words);
        command.env("KUBECONFIG", kubeconfig).env("BUNDLE_KUBECTL", xtask::tools::kubectl().unwrap());
        command
    }

    /// Runs that against the shared cluster.
    pub(crate) fn run(&self, verb: &str, more: &[&str]) -> Outcome {
        Outcome::of(self.command(verb, more, cluster::shared()).output().unwrap())
    }
}

/// A licence of `customer` that expires in `days` (negative: expired so long ago), as the vendor would have issued it a year earlier.
pub(crate) fn license(key: &Path, customer: &str, days: i64, features: &[&str]) -> String {
    let now =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
            .unwrap();
    let time = |days: i64| Time::from_unix(now + days * 86_400 + 60).unwrap();
    let claims = Claims {
        issuer: "Demo".into(),
        customer: customer.into(),
        issued: time(-365),
        not_before: None,
        expires: time(days),
        license_key: None,
        grace_days: None,
        warn_days: None,
        entitlements: Entitlements {
            tier: "standard".into(),
            limits: std::collections::BTreeMap::new(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            custom_fields: serde_json::Map::new(),
        },
        others: std::collections::BTreeMap::new(),
    };
    let signer = bundle::ops::keys::license_signer(key, &|_| None).unwrap();
    signing::license::issue(&claims, &signer).unwrap()
}
