//! Against Debian's `docker-registry`: plain, with a password file, and with TLS under an own authority.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle::oci::{Pointer, Repository};
use bundle::registry::{BlobPush, Client, Error, NoNotes, Options, Pushed};

use super::*;

/// A running `docker-registry`, stopped when dropped.
struct Debian {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Debian {
    /// Starts one with `extra` lines in its configuration, in which `DIR` stands for its folder.
    fn start(prepare: impl FnOnce(&Path), http: &str, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: DIR/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{http}{extra}"
        );
        let config = config.replace("DIR", &folder.path().display().to_string());
        let path = folder.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, folder }
    }

    fn repository(&self, path: &str) -> Repository {
        Repository::new(&format!("127.0.0.1:{}", self.port), path).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn new(settings: &Options) -> Client {
    Client::new(settings, Arc::new(Recorder::default())).unwrap()
}

/// Pushes an image and reads it back.
fn round_trip(client: &Client, repository: &Repository) {
    let layer = noise(9 << 20, 1);
    let config = Bytes::from_static(b"{}");
    for bytes in [&layer, &config] {
        let held = Held::new(bytes);
        let blob = blob_of(bytes);
        assert_eq!(client.head_blob(repository, &blob.digest).unwrap(), None);
        let push = BlobPush { repository, blob, from: &held, mount_from: &[], notes: &NoNotes };
        let sent = Pushed::Sent { bytes: blob.size, resumed_at: 0 };
        assert_eq!(client.push_blob(&push).unwrap(), sent);
        assert_eq!(client.head_blob(repository, &blob.digest).unwrap(), Some(blob.size));
        for offset in [0, blob.size / 2] {
            let body = client.open_blob(repository, &blob, offset).unwrap();
            assert_eq!(drain(body).unwrap(), bytes[usize::try_from(offset).unwrap()..]);
        }
    }
    let (layer, config) = (blob_of(&layer), blob_of(&config));
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        config.digest, layer.digest, layer.size
    );
    let digest = Digest::of(text.as_bytes());
    assert_eq!(client.head_manifest(repository, &tag("v1")).unwrap(), None);
    let put = client.push_manifest(repository, &tag("v1"), MANIFEST, &text.clone().into()).unwrap();
    assert_eq!(put.digest, Some(digest));
    for pointer in [tag("v1"), Pointer::Digest(digest)] {
        assert_eq!(client.manifest(repository, &pointer).unwrap().bytes, text.as_bytes());
        assert_eq!(client.head_manifest(repository, &pointer).unwrap().unwrap().digest, Some(digest));
    }
    let tags = client.tags_beginning(repository, "v").unwrap().unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["v1"]);
    assert!(client.referrers(repository, &digest).unwrap().is_empty());
}

#[test]
fn a_plain_registry() {
    let debian = Debian::start(|_| (), "", "");
    let client = new(&options());
    round_trip(&client, &debian.repository("acme/app"));
    let windows = new(&Options { upload_window: Some(2 << 20), ..options() });
    round_trip(&windows, &debian.repository("acme/windows"));
    let bytes = noise(9 << 20, 1);
    let (from, held) = (debian.repository("acme/app"), Held::new(&bytes));
    let push = BlobPush {
        repository: &debian.repository("acme/mounted"),
        blob: blob_of(&bytes),
        from: &held,
        mount_from: &[from],
        notes: &NoNotes,
    };
    assert_eq!(client.push_blob(&push).unwrap(), Pushed::Mounted);
}

#[test]
fn a_session_is_taken_up_between_windows() {
    let debian = Debian::start(|_| (), "", "");
    let repository = debian.repository("acme/app");
    let client = new(&Options { upload_window: Some(2 << 20), ..options() });
    let mut held = Held::new(&noise(9 << 20, 2));
    held.piece = 2 << 20;
    held.breaks = Some((6 << 20, || store::Error::Interrupted));
    let notes = Notes::default();
    let blob = blob_of(&held.bytes);
    let push = BlobPush { repository: &repository, blob, from: &held, mount_from: &[], notes: &notes };
    assert!(matches!(client.push_blob(&push), Err(store::Error::Interrupted)));
    let whole = Held::new(&held.bytes);
    let push = BlobPush { from: &whole, ..push };
    match client.push_blob(&push).unwrap() {
        // This registry gives up a session whose last request was torn; between windows it keeps it.
        Pushed::Sent { bytes, resumed_at } => assert_eq!(bytes + resumed_at, 9 << 20, "{resumed_at}"),
        Pushed::Mounted => panic!("mounted"),
    }
    assert_eq!(client.head_blob(&repository, &blob.digest).unwrap(), Some(9 << 20));
}

#[test]
fn a_registry_with_a_password_file() {
    let prepare = |folder: &Path| {
        let line = run("htpasswd", &["-Bbn", "ann", "secret"], folder);
        fs::write(folder.join("htpasswd"), line).unwrap();
    };
    let auth = "auth:\n  htpasswd:\n    realm: lab\n    path: DIR/htpasswd\n";
    let debian = Debian::start(prepare, "", auth);
    let repository = debian.repository("acme/app");
    let login = |secret: &str| {
        use base64::Engine;
        let entry = base64::engine::general_purpose::STANDARD.encode(format!("ann:{secret}"));
        let path = debian.file(&format!("{secret}.json"));
        let key = repository.registry();
        fs::write(&path, format!(r#"{{"auths":{{"{key}":{{"auth":"{entry}"}}}}}}"#)).unwrap();
        new(&Options { credential_files: vec![path], ..options() })
    };
    round_trip(&login("secret"), &repository);
    for client in [login("wrong"), new(&options())] {
        let error = client.manifest(&repository, &tag("v1")).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
}

#[test]
fn a_registry_with_tls_under_its_own_authority() {
    let prepare = |folder: &Path| {
        let san = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        let ec = "ec_paramgen_curve:prime256v1";
        let common = ["req", "-x509", "-newkey", "ec", "-pkeyopt", ec, "-nodes", "-days", "2"];
        let authority = ["-subj", "/CN=Lab authority", "-keyout", "ca.key", "-out", "ca.pem"];
        run("openssl", &[&common[..], &authority[..]].concat(), folder);
        let request = [
            &["req", "-newkey", "ec", "-pkeyopt", ec, "-nodes", "-subj", "/CN=registry"][..],
            &["-keyout", "key.pem", "-out", "request.pem"],
        ];
        run("openssl", &request.concat(), folder);
        fs::write(folder.join("san"), san).unwrap();
        let sign =
            ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        run("openssl", &[&sign[..], &["-days", "2", "-extfile", "san", "-out", "cert.pem"]].concat(), folder);
    };
    let tls = "  tls:\n    certificate: DIR/cert.pem\n    key: DIR/key.pem\n";
    let debian = Debian::start(prepare, tls, "");
    let ca_files = vec![debian.file("ca.pem")];
    round_trip(&new(&Options { ca_files: ca_files.clone(), ..options() }), &debian.repository("acme/app"));
    // Without the authority it is found to speak TLS, and not believed.
    let error = new(&options()).manifest(&debian.repository("acme/app"), &tag("v1")).unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    // With an authority given, a plain registry on this machine still opens.
    let plain = Debian::start(|_| (), "", "");
    round_trip(&new(&Options { ca_files, ..options() }), &plain.repository("acme/app"));
    for (name, text) in [
        ("absent.pem", None),
        ("empty.pem", Some("")),
        ("bad.pem", Some("-----BEGIN CERTIFICATE-----\n!!\n")),
    ] {
        let path = debian.file(name);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let settings = Options { ca_files: vec![path], ..options() };
        let made = Client::new(&settings, Arc::new(Recorder::default()));
        assert!(matches!(made, Err(Error::CaFile { .. })), "{name}");
    }
}
