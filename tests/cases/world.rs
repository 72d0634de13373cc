//! A vendor with a registry, a release and keys, and a customer with a registry: what the cases of the spine act in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bundle::bundle::grant::{Identities, OpenWith, Recipient};
use bundle::oci::Reference;
use bundle::ops::{build, keygen, keys, load, lock, verify};
use bundle::plan::mapping::Mapping;
use bundle::progress::{Observer, Silent};
use bundle::registry::{Client, Options, Proxies};
use bundle::sources::{Images, Remote};
use signing::policy::{Consequences, Terms, TrustedKey};
use signing::{Policy, SecretKey};
use xtask::images::{Named, sample};
use xtask::registry::{Config, Server};

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) vendor: Server,
    pub(crate) customer: Server,
    pub(crate) client: Arc<Client>,
    pub(crate) images: Vec<Named>,
    pub(crate) key: SecretKey,
    pub(crate) acme_identity: Identities,
    pub(crate) grantees: Vec<build::Grantee>,
}

/// A client that reads nothing of the machine it runs on.
pub(crate) fn client() -> Arc<Client> {
    let options = Options {
        attempts: 3,
        backoff: Duration::from_millis(1),
        proxies: Proxies::default(),
        credential_files: Vec::new(),
        ..Options::default()
    };
    Arc::new(Client::new(&options, Arc::new(Silent)).unwrap())
}

impl World {
    /// The sample images in the vendor's registry, and a release of them all with `settings` (whole lines of YAML).
    pub(crate) fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vendor = Server::start(Config::default()).unwrap();
        let customer = Server::start(Config::default()).unwrap();
        let images = sample("incidentfox", "v1.2.0").unwrap();
        let mut release = format!(
            "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.2.0\nvendor: Demo\n{settings}images:\n"
        );
        for image in &images {
            image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
            let name = format!("docker.io/{}:{}", image.repository, image.tag);
            let from = format!("{}/{}:{}", vendor.host(), image.repository, image.tag);
            release += &format!("  - {{ref: \"{name}\", from: \"{from}\"}}\n");
        }
        fs::write(folder.path().join("release.yaml"), release).unwrap();
        let key = signing_key(folder.path(), "vendor");
        let (_, vendor_recipient) = recipient(folder.path(), "escrow");
        let (acme_identity, acme_recipient) = recipient(folder.path(), "acme");
        let grantee = |name: &str, recipient| build::Grantee { name: name.parse().unwrap(), recipient };
        Self {
            folder,
            vendor,
            customer,
            client: client(),
            images,
            key,
            acme_identity,
            grantees: vec![grantee("escrow", vendor_recipient), grantee("acme", acme_recipient)],
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn registry(&self) -> impl Fn(&Reference) -> Arc<dyn Images> + Sync + use<> {
        let client = Arc::clone(&self.client);
        move |reference| Arc::new(Remote::new(Arc::clone(&client), reference))
    }

    pub(crate) fn lock(&self) {
        let request = lock::Request { file: self.path("release.yaml"), mode: lock::Mode::Write, helm: None };
        lock::lock(&request, self.registry(), &Silent).unwrap();
    }

    pub(crate) fn try_build(&self, out: &str) -> Result<build::Report, build::Error> {
        self.try_build_with(out, None)
    }

    /// With a share of parity.
    pub(crate) fn try_build_with(
        &self,
        out: &str,
        parity: Option<u64>,
    ) -> Result<build::Report, build::Error> {
        let observer: Arc<dyn Observer> = Arc::new(Silent);
        let request = build::Request {
            against: bundle::ops::build::Against::Nothing,
            file: &self.path("release.yaml"),
            out: &self.path(out),
            sign_keys: std::slice::from_ref(&self.key),
            recipients: &self.grantees,
            volume_size: None,
            parity,
            program: None,
            mode: build::Mode::Write,
        };
        build::build(&request, &self.registry(), &observer)
    }

    pub(crate) fn build(&self, out: &str) -> PathBuf {
        self.try_build(out).unwrap().folder
    }

    pub(crate) fn policy(&self) -> Policy {
        policy(std::slice::from_ref(&self.key), 1)
    }

    pub(crate) fn verify(&self, folder: &Path, deep: bool) -> verify::Report {
        let request = verify::Request {
            folders: &[folder.to_owned()],
            policy: &self.policy(),
            with: deep.then_some(OpenWith::Identities(&self.acme_identity)),
            now: Some(1_790_000_000),
            state: Some(&self.path("state")),
            allow_downgrade: false,
        };
        verify::verify(&request, &Silent).unwrap()
    }

    pub(crate) fn try_load(&self, folder: &Path) -> Result<load::Report, load::Error> {
        self.try_load_into(folder, &self.customer.host())
    }

    pub(crate) fn try_load_into(&self, folder: &Path, host: &str) -> Result<load::Report, load::Error> {
        let mapping = Mapping::new(&format!("{host}/mirror"), &[], false).unwrap();
        let request = load::Request {
            folders: &[folder.to_owned()],
            policy: &self.policy(),
            bases: &[],
            with: Some(OpenWith::Identities(&self.acme_identity)),
            mapping: &mapping,
            parallel: 4,
            now: Some(1_790_000_000),
            state: Some(&self.path("state")),
            allow_downgrade: false,
            recheck: false,
            mode: load::Mode::Write,
        };
        load::load(&request, &self.client, &Silent)
    }

    pub(crate) fn load(&self, folder: &Path) -> load::Report {
        self.try_load(folder).unwrap()
    }
}

pub(crate) fn signing_key(folder: &Path, name: &str) -> SecretKey {
    let prefix = folder.join(name);
    let request = keygen::Request { kind: keygen::Kind::Signing, prefix: &prefix, passphrase: None };
    let report = keygen::keygen(&request).unwrap();
    keys::signing_key(Path::new(&report.key), &|_| None).unwrap()
}

pub(crate) fn recipient(folder: &Path, name: &str) -> (Identities, Recipient) {
    let prefix = folder.join(name);
    let request = keygen::Request { kind: keygen::Kind::Recipient, prefix: &prefix, passphrase: None };
    let report = keygen::keygen(&request).unwrap();
    let identities = keys::identities(Path::new(&report.key), &|_| None).unwrap();
    let recipient = keys::recipients(&report.public).unwrap().remove(0);
    (identities, recipient)
}

pub(crate) fn policy(keys: &[SecretKey], threshold: u32) -> Policy {
    Policy::new(Terms {
        version: 1,
        keys: keys.iter().map(|key| TrustedKey { name: None, key: key.public() }).collect(),
        threshold,
        valid_from: None,
        valid_until: None,
        consequences: Consequences::default(),
    })
    .unwrap()
}

/// Every file below `folder` with its bytes.
pub(crate) fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}
