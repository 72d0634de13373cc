//! Images that `skopeo` put into Debian's `docker-registry`, through a bundle, into another one: plain, with passwords, with
//! TLS under an own CA, with tokens.

use std::fs;
use std::path::Path;

use xtask::images::{Graph, Named, sample};

use super::peers::registry::{Kind, PASSWORD, Peer};
use super::program::tool;
use super::stage::Stage;

/// Writes an image as `skopeo` keeps it in a folder (containers-transports(5), `dir:`): `oci:` is not for Docker's formats.
fn write_folder(graph: &Graph, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (digest, bytes) in &graph.blobs {
        fs::write(folder.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
    }
    for document in &graph.documents {
        let name = format!("{}.manifest.json", document.digest.trim_start_matches("sha256:"));
        fs::write(folder.join(name), &document.bytes).unwrap();
    }
    fs::write(folder.join("manifest.json"), &graph.root().bytes).unwrap();
}

/// A vendor's registry with images in it, a customer's without, and a bundle made from the first.
struct Delivery {
    stage: Stage,
    images: Vec<Named>,
    vendor: Peer,
    customer: Peer,
}

impl Delivery {
    fn new(kind: Kind) -> Self {
        let (vendor, customer) = (Peer::start(kind), Peer::start(kind));
        let stage = Stage::new();
        let images = sample("incidentfox", "v1.2.0").unwrap();
        assert!(images.len() >= 6);
        for image in &images {
            let folder = stage.path("vendor-images").join(&image.repository);
            write_folder(&image.graph, &folder);
            let (repository, tag) = (&image.repository, &image.tag);
            tool(
                vendor
                    .skopeo("copy", "dest-")
                    .args(["--all", "--preserve-digests"])
                    .arg(format!("dir:{}", folder.display()))
                    .arg(format!("docker://{}/{repository}:{tag}", vendor.host())),
            );
        }
        stage.release("volume-size: 2MiB\n", &images, &vendor.host());
        stage.log_in([vendor.login(PASSWORD), customer.login(PASSWORD)]);
        Self { stage, images, vendor, customer }
    }

    fn bundle(&self) {
        let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect();
        self.stage.run(words(&["lock"]), self.vendor.options()).says(0, &[]);
        self.stage.run(self.stage.build("out"), self.vendor.options()).says(0, &[]);
    }

    fn load_with(&self, options: Vec<String>) -> super::program::Outcome {
        let load = self.stage.load(&self.stage.bundle("out"), &self.customer.host());
        self.stage.run(load, options)
    }

    /// Every manifest and every blob as `skopeo` reads them from the customer's registry.
    fn compare(&self) {
        for image in &self.images {
            let root = image.graph.root();
            let (name, tag) = (&image.repository, &image.tag);
            for (registry, name) in [(&self.vendor, name.clone()), (&self.customer, format!("mirror/{name}"))]
            {
                let reference = format!("docker://{}/{name}:{tag}", registry.host());
                let raw = tool(registry.skopeo("inspect", "").arg("--raw").arg(reference));
                assert_eq!(raw, root.bytes, "{name}");
            }
            let fetched = self.stage.path("fetched");
            tool(
                self.customer
                    .skopeo("copy", "src-")
                    .args(["--all", "--preserve-digests"])
                    .arg(format!("docker://{}/mirror/{name}:{tag}", self.customer.host()))
                    .arg(format!("dir:{}", fetched.display())),
            );
            let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
            for (digest, bytes) in &image.graph.blobs {
                assert_eq!(fs::read(fetched.join(hex(digest))).unwrap(), *bytes, "{name}: {digest}");
            }
            for document in &image.graph.documents {
                let file = if document.digest == root.digest {
                    "manifest.json".to_owned()
                } else {
                    format!("{}.manifest.json", hex(&document.digest))
                };
                assert_eq!(fs::read(fetched.join(file)).unwrap(), document.bytes, "{name}");
            }
            fs::remove_dir_all(fetched).unwrap();
        }
    }
}

fn registry_to_registry(kind: Kind) -> Delivery {
    let delivery = Delivery::new(kind);
    delivery.bundle();
    delivery.load_with(delivery.customer.options()).says(0, &[]);
    delivery.compare();

    let before = delivery.customer.requests().len();
    delivery.load_with(delivery.customer.options()).says(0, &[]);
    let again = delivery.customer.requests().split_off(before);
    let answered: Vec<_> = again.iter().filter(|line| !line.ends_with(" 401")).collect();
    let asked = answered.iter().filter(|line| line.starts_with("HEAD ") && line.contains("/manifests/"));
    assert_eq!(asked.count(), delivery.images.len(), "{again:#?}");
    // Besides them only the first question, whether this is a registry at all.
    assert!(answered.len() <= delivery.images.len() + 1, "{again:#?}");
    assert!(again.iter().all(|line| !line.contains("/blobs/")), "{again:#?}");
    delivery
}

#[test]
fn plain() {
    registry_to_registry(Kind::Plain);
}

/// A disk that was full leaves an empty link, and the registry answers 500 to whoever asks after that tag, until it is put again.
#[test]
fn a_tag_that_the_registry_lost_is_put_again() {
    let delivery = registry_to_registry(Kind::Plain);
    let image = &delivery.images[0];
    let repositories = delivery.customer.storage().join("docker/registry/v2/repositories/mirror");
    let link =
        repositories.join(&image.repository).join("_manifests/tags").join(&image.tag).join("current/link");
    assert!(fs::metadata(&link).unwrap().len() > 0);
    fs::write(&link, "").unwrap();
    let before = delivery.customer.requests().len();
    delivery.load_with(delivery.customer.options()).says(0, &[]);
    let asked = delivery.customer.requests().split_off(before);
    assert_eq!(asked.iter().filter(|line| line.ends_with(" 500")).count(), 2, "{asked:#?}");
    delivery.compare();
}

#[test]
fn with_passwords() {
    let delivery = registry_to_registry(Kind::Htpasswd);
    refuses_strangers(&delivery);
}

#[test]
fn with_tokens() {
    let delivery = registry_to_registry(Kind::Token);
    assert!(delivery.customer.issuer.as_ref().unwrap().issued() > 0);
    refuses_strangers(&delivery);
}

/// A wrong password, and none at all: said so, and nothing done.
fn refuses_strangers(delivery: &Delivery) {
    let customer = &delivery.customer;
    for auths in [vec![customer.login("wrong horse")], vec![]] {
        delivery.stage.log_in(auths);
        let outcome = delivery.load_with(customer.options());
        outcome.says(3, &[&customer.host(), "did not accept who we are", "docker login"]);
        assert!(!format!("{outcome:?}").contains("wrong horse"));
    }
    delivery.stage.log_in([customer.login(PASSWORD), delivery.vendor.login("wrong horse")]);
    fs::remove_file(delivery.stage.path("release.lock")).unwrap();
    let outcome = delivery.stage.program.run(&["lock"]);
    outcome.says(3, &[&delivery.vendor.host(), "did not accept who we are"]);
    assert!(!delivery.stage.path("release.lock").exists());
}

#[test]
fn with_a_ca_of_its_own() {
    let delivery = registry_to_registry(Kind::Tls);
    // Not named, and another one named: the same registry is a stranger.
    let other = delivery.vendor.options();
    for options in [vec![], other] {
        delivery.load_with(options).says(3, &[&delivery.customer.host(), "TLS", "--ca-file"]);
    }
    let key = delivery.stage.path("vendor.key").display().to_string();
    delivery.load_with(vec!["--ca-file".to_owned(), key]).says(2, &["vendor.key"]);
    let gone = delivery.load_with(vec!["--ca-file".to_owned(), "gone.pem".to_owned()]);
    gone.says(2, &["gone.pem"]);
}
