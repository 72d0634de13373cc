//! Copies behind a real OpenSSH: its own host key and configuration, on loopback; and a proxy that cuts the link.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use xtask::images::Seed;

use super::super::forge::Forgery;
use super::super::program::{Outcome, tool};
use super::{Desk, VOLUME_1, flip};

/// Whether programs may be run on the other machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Anything,
    OnlySftp,
}

/// An `sshd` that lets in the one user there is.
struct Host {
    child: Child,
    port: u16,
    folder: PathBuf,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn key(path: &std::path::Path) {
    let path = path.to_str().unwrap();
    tool(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", path]));
}

impl Host {
    fn start(desk: &Desk, runs: Runs) -> Self {
        let folder = desk.path("ssh");
        fs::create_dir(&folder).unwrap();
        // sshd(8): its own folder, empty, for the unprivileged part.
        fs::create_dir_all("/run/sshd").unwrap();
        for name in ["host", "user", "stranger"] {
            key(&folder.join(name));
        }
        let port = free_port();
        let at = |name: &str| folder.join(name).display().to_string();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             Subsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 100\n",
            at("host"),
            at("pid"),
            at("user.pub")
        );
        if runs == Runs::OnlySftp {
            config += "ForceCommand internal-sftp\n";
        }
        fs::write(folder.join("sshd_config"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let host = Self { child, port, folder };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}",
                fs::read_to_string(host.folder.join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        host.known_at(port);
        host
    }

    /// Makes it known under `port`.
    fn known_at(&self, port: u16) {
        let key = fs::read_to_string(self.folder.join("host.pub")).unwrap();
        fs::write(self.folder.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    }

    fn words(&self, to: &std::path::Path, port: u16) -> Vec<String> {
        let user = String::from_utf8(tool(Command::new("id").arg("-un"))).unwrap();
        let to = format!("sftp://{}@127.0.0.1:{port}{}", user.trim(), to.display());
        Desk::words(&format!(
            "good {to} --for acme --ssh-key {} --known-hosts {}",
            self.folder.join("user").display(),
            self.folder.join("known_hosts").display()
        ))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn report(outcome: &Outcome) -> serde_json::Value {
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn a_copy_behind_sftp_is_the_bundle_compared_there_or_read_back() {
    for (runs, way) in [(Runs::Anything, "sha256sum"), (Runs::OnlySftp, "sftp")] {
        let desk = Desk::new(&Forgery::two_volumes());
        let host = Host::start(&desk, runs);
        let words = host.words(&desk.path("there"), host.port);
        let dry = report(&desk.program.run(&[words.clone(), vec!["--dry-run".into()]].concat()));
        assert!(!desk.path("there").exists() && dry["places"][0]["free"].is_u64(), "{dry}");
        let done = report(&desk.program.run(&words));
        desk.is_the_bundle(&desk.path("there"));
        // Small files are always read back, which is the weaker of the two.
        assert_eq!(done["places"][0]["read_back"], "sftp", "{way}: {done}");
        let log = fs::read_to_string(host.folder.join("log")).unwrap();
        assert!(log.contains("Accepted publickey"), "{log}");
        let again = report(&desk.program.run(&words));
        assert_eq!(again["places"][0]["written"], 0, "{again}");
        // What rots there is found and mended, by the chunk.
        flip(&desk.path("there").join(VOLUME_1), 17_000_000);
        let mended = report(&desk.program.run(&words));
        assert!(mended["places"][0]["written"].as_u64().unwrap() < 2 << 20, "{mended}");
        desk.is_the_bundle(&desk.path("there"));
        let outcome = desk.program.run(&host.words(&desk.path("no/such"), host.port));
        outcome.says(2, &["there is no folder sftp://", "/no\n"]);
        assert!(!outcome.stderr.contains("/no/such"), "{outcome:#?}");
    }
}

#[test]
fn a_machine_must_be_known_and_let_the_user_in() {
    let desk = Desk::new(&Forgery::small());
    let host = Host::start(&desk, Runs::Anything);
    let words = host.words(&desk.path("there"), host.port);
    let known = host.folder.join("known_hosts");
    let good = fs::read_to_string(&known).unwrap();
    let fingerprint = tool(Command::new("ssh-keygen").args(["-l", "-f"]).arg(host.folder.join("host.pub")));
    let fingerprint = String::from_utf8(fingerprint).unwrap().split(' ').nth(1).unwrap().to_owned();

    fs::write(&known, "").unwrap();
    let line = good.trim().rsplit_once(' ').unwrap().0;
    desk.program.run(&words).says(1, &["is not known", &fingerprint, "add this line", line]);

    let stranger = fs::read_to_string(host.folder.join("stranger.pub")).unwrap();
    fs::write(&known, format!("# note\n[127.0.0.1]:{} {stranger}", host.port)).unwrap();
    desk.program.run(&words).says(
        1,
        &[
            "SHOWS ANOTHER KEY",
            &format!("line 2 of {}", known.display()),
            &fingerprint,
            "somebody may be in between",
        ],
    );
    fs::write(&known, format!("{good}@revoked * {}", good.split_once(' ').unwrap().1)).unwrap();
    desk.program.run(&words).says(1, &["A KEY THAT WAS REVOKED", "line 2"]);
    fs::remove_file(&known).unwrap();
    desk.program.run(&words).says(1, &["is not known"]);
    assert!(!desk.path("there").exists());

    fs::write(&known, &good).unwrap();
    let with = |key: &str| {
        let user = host.folder.join("user").display().to_string();
        words
            .iter()
            .map(
                |word| if *word == user { host.folder.join(key).display().to_string() } else { word.clone() },
            )
            .collect::<Vec<_>>()
    };
    desk.program.run(&with("stranger")).says(3, &["by none of the keys", "stranger", "--ssh-key"]);
    fs::set_permissions(host.folder.join("stranger"), fs::Permissions::from_mode(0o644)).unwrap();
    desk.program.run(&with("stranger")).says(2, &["others may read"]);
    desk.program.run(&with("host.pub")).says(2, &["--ssh-key takes"]);
    // A key with a passphrase, and an agent.
    let user = host.folder.join("user").display().to_string();
    tool(Command::new("ssh-keygen").args(["-q", "-p", "-N", "sesame", "-f", &user]));
    desk.program.run(&words).says(2, &["it has a passphrase"]);
    let mut command = desk.program.command(&words);
    report(&Outcome::of(command.env("BUNDLE_PASSPHRASE", "sesame").output().unwrap()));
    desk.is_the_bundle(&desk.path("there"));
    tool(Command::new("ssh-keygen").args(["-q", "-p", "-P", "sesame", "-N", "", "-f", &user]));
    let socket = host.folder.join("agent");
    let mut agent =
        Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    tool(Command::new("ssh-add").arg("-q").arg(&user).env("SSH_AUTH_SOCK", &socket));
    fs::remove_dir_all(desk.path("there")).unwrap();
    let without: Vec<String> =
        words.iter().filter(|word| **word != user && *word != "--ssh-key").cloned().collect();
    let outcome = Outcome::of(desk.program.command(&without).env("SSH_AUTH_SOCK", &socket).output().unwrap());
    let _ = agent.kill();
    let _ = agent.wait();
    report(&outcome);
    desk.is_the_bundle(&desk.path("there"));
    desk.program.run(&without).says(3, &["there is none"]);
}

/// Passes bytes on, and cuts each connection after so many of them.
struct Cutter {
    port: u16,
    cuts: Arc<AtomicU32>,
    passed: Arc<AtomicU64>,
}

impl Cutter {
    fn start(to: u16, cuts: u32, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (left, passed) = (Arc::new(AtomicU32::new(cuts)), Arc::new(AtomicU64::new(0)));
        let (counter, total) = (Arc::clone(&left), Arc::clone(&passed));
        let seed = Arc::new(Mutex::new(Seed::of("cuts of sftp")));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                // A connection that was cut at once would be no cut of a copy: every one moves something.
                let limit = match counter.load(Ordering::SeqCst) {
                    0 => u64::MAX,
                    _ => 200_000 + seed.lock().unwrap().below(most),
                };
                let (total, counter) = (Arc::clone(&total), Arc::clone(&counter));
                std::thread::spawn(move || pass((client, server), limit, (&total, &counter)));
            }
        });
        Self { port, cuts: left, passed }
    }
}

fn pass((client, server): (TcpStream, TcpStream), limit: u64, (total, cuts): (&AtomicU64, &AtomicU32)) {
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, server);
    let mut space = vec![0; 16 << 10];
    let mut passed = 0;
    while let Ok(read) = from.read(&mut space) {
        if read == 0 || to.write_all(&space[..read]).is_err() {
            break;
        }
        passed += read as u64;
        total.fetch_add(read as u64, Ordering::SeqCst);
        if passed >= limit {
            let _ = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            break;
        }
    }
    for side in [&from, &to] {
        let _ = side.shutdown(Shutdown::Both);
    }
    let _ = back.join();
}

#[test]
fn a_link_that_is_cut_twenty_times_is_taken_up_at_the_byte() {
    let desk = Desk::new(&Forgery::two_volumes());
    let host = Host::start(&desk, Runs::Anything);
    let cutter = Cutter::start(host.port, 20, 1_500_000);
    host.known_at(cutter.port);
    let outcome = desk.program.run(&host.words(&desk.path("there"), cutter.port));
    let report = report(&outcome);
    desk.is_the_bundle(&desk.path("there"));
    assert_eq!(cutter.cuts.load(Ordering::SeqCst), 0, "it was over before it was cut 20 times: {report}");
    assert!(outcome.stderr.contains("attempt"), "{outcome:?}");
    // What is sent twice for a cut: what was under way, a window for each of four files.
    let all: usize = desk.travels().values().map(Vec::len).sum();
    let again = cutter.passed.load(Ordering::SeqCst).saturating_sub(all as u64);
    assert!(again < 20 * (4 << 20), "{again} bytes were sent again");
}

#[test]
fn a_killed_copy_behind_sftp_goes_on_where_it_was() {
    let desk = Desk::new(&Forgery::two_volumes());
    let host = Host::start(&desk, Runs::Anything);
    let there = desk.path("there");
    let words = host.words(&there, host.port);
    let part = there.join("volumes/.demo-1.2.0.0001.tar.age.part");
    for least in [1, 3 << 20, 9 << 20] {
        let mut child =
            desk.program.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while part.metadata().map_or(0, |facts| facts.len()) < least {
            assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!there.join("SHA256SUMS").exists());
    }
    // The other machine may still be writing what it was sent.
    let done = report(&desk.program.run(&words));
    let all: usize = desk.travels().values().map(Vec::len).sum();
    assert!(done["places"][0]["written"].as_u64().unwrap() < all as u64 - (8 << 20), "{done}");
    desk.is_the_bundle(&there);
}

#[test]
fn nobody_there_is_told_after_a_few_tries() {
    let desk = Desk::new(&Forgery::small());
    let outcome =
        desk.program.run(&["copy", "good", "sftp://joe:secret@127.0.0.1/x", "--trust", "trust.json"]);
    outcome.says(2, &["passwords have no place"]);
    assert!(!outcome.stderr.contains("secret"), "{outcome:?}");
}
