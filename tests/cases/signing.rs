//! Keys, signatures and grants, with `openssl`, `ssh-keygen`, `sha256sum` and `age` at the other end. A program that is missing
//! is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use age::secrecy::{ExposeSecret as _, SecretString};
use bundle::bundle::grant::{self, Identities, Identity, OpenWith, SealTo};
use bundle::bundle::sums::Sums;
use bundle::digest::Digest;
use bundle::ops::keygen::{Kind, Report, Request, keygen};
use bundle::ops::keys;
use signing::{PublicKey, SecretKey, raw, sshsig};
use tempfile::TempDir;

/// A folder for one test.
pub(super) struct Bench(TempDir);

impl Bench {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs `line` in the folder; its words are one space apart, and between two spaces is an empty word.
    fn run(&self, line: &str, input: &[u8]) -> Output {
        let mut words = line.split(' ');
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.0.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        // A program that refuses early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs `line`, which must succeed; gives what it printed.
    pub(super) fn must(&self, line: &str, input: &[u8]) -> Vec<u8> {
        let output = self.run(line, input);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs `line`, which must fail.
    fn must_not(&self, line: &str, input: &[u8]) {
        let output = self.run(line, input);
        assert!(!output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
    }

    fn keygen(&self, kind: Kind, name: &str, passphrase: Option<&str>) -> Report {
        let passphrase = passphrase.map(secret);
        let prefix = self.path(name);
        keygen(&Request { kind, prefix: &prefix, passphrase: passphrase.as_ref() }).unwrap()
    }

    fn signing_key(&self, name: &str, passphrase: Option<&str>) -> SecretKey {
        keys::signing_key(&self.path(name), &|_| passphrase.map(secret)).unwrap()
    }
}

pub(super) fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A `SHA256SUMS` of one file `a`.
fn sums() -> String {
    Sums::new([("a".parse().unwrap(), Digest::of(b"hello\n"))]).unwrap().render()
}

#[test]
fn openssl_reads_our_keys_and_checks_our_signatures() {
    let bench = Bench::new();
    bench.keygen(Kind::Signing, "vendor", None);
    bench.keygen(Kind::Signing, "sealed", Some("a passphrase"));
    bench.write("SHA256SUMS", sums());
    for (name, passin) in [("vendor", ""), ("sealed", " -passin file:pw")] {
        bench.write("pw", "a passphrase\n");
        let public = bench.must(&format!("openssl pkey -in {name}.key -pubout{passin}"), b"");
        assert_eq!(public, bench.read(&format!("{name}.pub")), "{name}");
        let key = bench.signing_key(&format!("{name}.key"), Some("a passphrase"));
        bench.write("SHA256SUMS.sig", raw::sign(&key, &bench.read("SHA256SUMS")));
        let line = format!(
            "openssl pkeyutl -verify -pubin -inkey {name}.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig"
        );
        bench.must(&line, b"");
    }
    bench.write("pw", "another\n");
    bench.must_not("openssl pkey -in sealed.key -passin file:pw -noout", b"");
    bench.write("SHA256SUMS", sums().replace('a', "b"));
    bench.must_not(
        "openssl pkeyutl -verify -pubin -inkey sealed.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig",
        b"",
    );
}

#[test]
fn we_read_openssls_keys_and_check_its_signatures() {
    let bench = Bench::new();
    bench.write("pw", "a passphrase\n");
    bench.must("openssl genpkey -algorithm ed25519 -out plain.key", b"");
    bench.must("openssl pkey -in plain.key -pubout -out vendor.pub", b"");
    bench.must("openssl pkcs8 -topk8 -in plain.key -v2 aes-256-cbc -passout file:pw -out pbkdf2.key", b"");
    bench.must("openssl pkcs8 -topk8 -in plain.key -scrypt -passout file:pw -out scrypt.key", b"");
    bench.must("openssl genpkey -algorithm ed25519 -aes-256-cbc -pass file:pw -out other.key", b"");
    let public = PublicKey::from_pem(&bench.read("vendor.pub")).unwrap();
    for name in ["plain.key", "pbkdf2.key", "scrypt.key", "other.key"] {
        private(&bench.path(name));
        let key = bench.signing_key(name, Some("a passphrase"));
        assert_eq!(key.public() == public, name != "other.key");
        let wrong = keys::signing_key(&bench.path(name), &|_| Some(secret("another")));
        assert_eq!(wrong.is_ok(), name == "plain.key");
    }
    bench.write("SHA256SUMS", sums());
    bench.must("openssl pkeyutl -sign -inkey plain.key -rawin -in SHA256SUMS -out sig", b"");
    assert!(raw::holds(&public, sums().as_bytes(), &bench.read("sig")));
    assert!(!raw::holds(&public, b"something else", &bench.read("sig")));
}

#[test]
fn the_key_id_is_the_hash_that_sha256sum_prints() {
    let bench = Bench::new();
    let report = bench.keygen(Kind::Signing, "vendor", None);
    let der = bench.must("openssl pkey -pubin -in vendor.pub -outform DER", b"");
    let printed = bench.must("sha256sum", &der[der.len() - 32..]);
    assert_eq!(report.key_id.unwrap().to_string().as_bytes(), &printed[..16]);
}

#[test]
fn sha256sum_checks_our_list() {
    let bench = Bench::new();
    bench.write("a", "hello\n");
    bench.write("SHA256SUMS", sums());
    bench.must("sha256sum --strict -c SHA256SUMS", b"");
    let printed = bench.must("sha256sum a", b"");
    assert_eq!(Sums::parse(&printed).unwrap().render(), sums());
    bench.write("a", "hellO\n");
    bench.must_not("sha256sum --strict -c SHA256SUMS", b"");
}

#[test]
fn ssh_keygen_checks_our_signatures() {
    let bench = Bench::new();
    bench.keygen(Kind::Signing, "vendor", None);
    let key = bench.signing_key("vendor.key", None);
    let line = sshsig::allowed_signers_line("vendor@example.com", &key.public()).unwrap();
    bench.write("allowed_signers", format!("{line}\n"));
    bench.write("SHA256SUMS.sshsig", sshsig::sign(&key, sums().as_bytes()));
    let verify =
        "ssh-keygen -Y verify -f allowed_signers -I vendor@example.com -n bundle -s SHA256SUMS.sshsig";
    bench.must(verify, sums().as_bytes());
    bench.must_not(verify, b"another document");
    bench.must_not(&verify.replace("-n bundle", "-n file"), sums().as_bytes());
    bench.must_not(&verify.replace("vendor@", "stranger@"), sums().as_bytes());
    // Other principals may not sign in this namespace, nor this one in others: the line says so.
    bench.write("allowed_signers", format!("{}\n", line.replace("bundle", "git")));
    bench.must_not(verify, sums().as_bytes());
}

#[test]
fn we_check_ssh_keygens_signatures() {
    let bench = Bench::new();
    bench.must("ssh-keygen -q -t ed25519 -N  -f id", b"");
    bench.write("document", sums());
    for (namespace, expected) in [("bundle", Ok(())), ("file", Err(()))] {
        bench.must(&format!("ssh-keygen -q -Y sign -f id -n {namespace} document"), b"");
        // The public key of `id.pub`: base64 of two strings, the second of them the 32 bytes.
        let line = String::from_utf8(bench.read("id.pub")).unwrap();
        let der = bench.must("base64 -d", line.split(' ').nth(1).unwrap().as_bytes());
        let key = PublicKey::from_bytes(der[der.len() - 32..].try_into().unwrap()).unwrap();
        let held = sshsig::check(&key, sums().as_bytes(), &bench.read("document.sig"));
        assert_eq!(held.map_err(|_| ()), expected);
        std::fs::remove_file(bench.path("document.sig")).unwrap();
    }
}

#[test]
fn age_opens_our_grants() {
    let bench = Bench::new();
    let report = bench.keygen(Kind::Recipient, "acme", None);
    let printed = bench.must("age-keygen -y acme.key", b"");
    assert_eq!(String::from_utf8(printed).unwrap().trim(), report.recipient.unwrap());
    let release = Identity::generate();
    let recipients = keys::recipients(bench.path("acme.pub").to_str().unwrap()).unwrap();
    bench.write("acme.age", grant::seal(&release, SealTo::Recipients(&recipients)).unwrap());
    bench.write("release.key", bench.must("age -d -i acme.key acme.age", b""));
    let sealed = bench.must(&format!("age -r {}", release.recipient()), b"payload");
    assert_eq!(bench.must("age -d -i release.key", &sealed), b"payload");
    bench.must("age-keygen -o other.key", b"");
    bench.must_not("age -d -i other.key acme.age", b"");
}

#[test]
fn we_open_ages_grants() {
    let bench = Bench::new();
    bench.must("age-keygen -o acme.key", b"");
    bench.must("age-keygen -o release.key", b"");
    let acme = String::from_utf8(bench.must("age-keygen -y acme.key", b"")).unwrap();
    let identities = keys::identities(&bench.path("acme.key"), &|_| None).unwrap();
    let release = keys::identities(&bench.path("release.key"), &|_| None).unwrap().into_one().unwrap();
    for armor in ["", " -a"] {
        let line = format!("age{armor} -r {} release.key", acme.trim());
        let opened = grant::open(&bench.must(&line, b""), OpenWith::Identities(&identities)).unwrap();
        assert_eq!(opened.to_text().expose_secret(), release.to_text().expose_secret());
    }
}

/// `age` asks for passphrases on a terminal alone; `script` gives it one.
pub(super) fn at_a_terminal(bench: &Bench, line: &str, typed: &str) -> Vec<u8> {
    bench.write("line.sh", format!("{line}\n"));
    let mut child = Command::new("script")
        .args(["-qec", "sh line.sh", "/dev/null"])
        .current_dir(bench.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("script: {error}"));
    // age throws away what was typed before it asked, so it is typed when the question appears.
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let (mut asked, mut piece) = (0, [0; 256]);
    loop {
        let got = std::io::Read::read(&mut output, &mut piece).unwrap();
        if got == 0 {
            break;
        }
        seen.extend_from_slice(&piece[..got]);
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        let questions = text.matches("passphrase").count();
        if questions > asked && text.trim_end().ends_with(':') {
            asked = questions;
            std::thread::sleep(std::time::Duration::from_millis(200));
            input.write_all(format!("{typed}\r").as_bytes()).unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&seen));
    seen
}

#[test]
fn passphrase_grants_open_both_ways() {
    let bench = Bench::new();
    let release = Identity::generate();
    bench.write("acme.age", grant::seal(&release, SealTo::Passphrase(&secret("correct horse"))).unwrap());
    at_a_terminal(&bench, "age -d -o opened.key acme.age", "correct horse");
    let opened = Identities::parse(&bench.read("opened.key"), None).unwrap().into_one().unwrap();
    assert_eq!(opened.to_text().expose_secret(), release.to_text().expose_secret());

    at_a_terminal(&bench, "age -p -o theirs.age opened.key", "battery staple");
    let theirs = bench.read("theirs.age");
    let opened = grant::open(&theirs, OpenWith::Passphrase(&secret("battery staple"))).unwrap();
    assert_eq!(opened.to_text().expose_secret(), release.to_text().expose_secret());
}

#[test]
fn age_opens_with_our_sealed_identity() {
    let bench = Bench::new();
    let report = bench.keygen(Kind::Recipient, "acme", Some("correct horse"));
    let sealed = bench.must(&format!("age -r {}", report.recipient.unwrap()), b"payload");
    bench.write("payload.age", sealed);
    at_a_terminal(&bench, "age -d -i acme.key -o payload payload.age", "correct horse");
    assert_eq!(bench.read("payload"), b"payload");
}
