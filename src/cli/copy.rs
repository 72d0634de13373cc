//! `bundle copy`.

use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{advise, draw_findings};
use super::secrets::Passphrases;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::courier::ReadBack;
use crate::courier::sftp::{self, Options};
use crate::ops::copy::{self, Mode, Placed, Report, To, Wanting};
use crate::ops::finding::{What, refused};
use crate::ops::grant::GrantName;
use crate::ops::keys;
use crate::sys::{clock, environment};

/// Copy a bundle onto a stick, or onto several in turn: writes, flushes, reads back from the device, compares.
///
/// DEST is the bundle's own folder there; it is made if it is not there. Room, the largest file that the filesystem holds, and names are
/// checked first. Every chunk is compared with the hash in the bundle, in the source while it is read and on the medium after it was
/// flushed. A copy that was interrupted never looks whole, and the same command goes on with it. Volumes can lie on several media, in any order:
/// name all their folders to verify, load or serve. Over SFTP a machine must be known to OpenSSH, a dropped link is taken up again where it was, and what
/// arrived is compared by sha256sum there or read back. No key is needed; with --trust the signatures are checked first.
#[derive(Debug, Args)]
pub(super) struct Copy {
    #[arg(
        help = "The bundle's folder (several when its volumes lie on several media), and last where to copy it: a folder, or sftp://USER@HOST[:PORT]/PATH (/~/PATH from the user's home)"
    )]
    #[arg(value_names = ["DIR", "DEST"], num_args = 2.., required = true)]
    paths: Vec<OsString>,
    /// One more medium, when the first is too small. Repeatable.
    #[arg(long, value_name = "DEST")]
    to: Vec<OsString>,
    #[command(flatten)]
    ssh: Ssh,
    /// Ask for the next medium when one is full, also when this is no terminal: a line with its folder, an empty one to stop.
    #[arg(long)]
    ask: bool,
    /// Let only this customer's grant and licence travel.
    #[arg(long = "for", value_name = "CUSTOMER")]
    customer: Option<GrantName>,
    /// Check the signatures by this policy first. Without it, whatever it is is copied.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
    /// Say what would be copied where, and whether it fits; write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// How machines are reached.
#[derive(Debug, Args)]
struct Ssh {
    #[arg(
        help = "For sftp://, the private key that opens the machine (else the agent's, by SSH_AUTH_SOCK, and ~/.ssh/id_ed25519 and id_ecdsa)"
    )]
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    #[arg(
        help = "For sftp://, the file that says by which keys machines are known (else ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)"
    )]
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    #[command(flatten)]
    passphrases: Passphrases,
}

impl Ssh {
    fn options(&self, ui: &Ui) -> Result<Options, Failure> {
        let home = environment::path("HOME").map(|home| home.join(".ssh"));
        let mut options = Options::default();
        let ask = |path: &std::path::Path| {
            use age::secrecy::ExposeSecret as _;
            self.passphrases.ask(ui, path).map(|secret| secret.expose_secret().to_owned())
        };
        match &self.ssh_key {
            Some(path) => {
                let key = sftp::private_key(path, &|| ask(path)).map_err(crate::ops::copy::Error::from)?;
                options.keys.push((key, path.display().to_string()));
            }
            None => {
                options.agent = environment::path("SSH_AUTH_SOCK");
                for name in ["id_ed25519", "id_ecdsa"] {
                    let Some(path) = home.as_ref().map(|home| home.join(name)) else { continue };
                    // One that is not there, or locked, is one key less: it was not asked for.
                    if let Ok(key) = sftp::private_key(&path, &|| None) {
                        options.keys.push((key, path.display().to_string()));
                    }
                }
            }
        }
        options.known_hosts = match &self.known_hosts {
            Some(file) => vec![file.clone()],
            None => {
                let own = home.map(|home| home.join("known_hosts"));
                own.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
            }
        };
        Ok(options)
    }
}

/// A folder, or a machine's.
fn to(text: &OsString) -> Result<To, Failure> {
    match text.to_str() {
        Some(text) => {
            text.parse().map_err(|error: sftp::AddressError| Failure::usage("address", error.to_string()))
        }
        None => Ok(To::Folder(PathBuf::from(text))),
    }
}

impl Verb for Copy {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let policy = self.trust.as_deref().map(keys::policy).transpose()?;
        if policy.is_none() {
            ui.warn("no --trust: nobody checked who signed this bundle; it is copied as it is");
        }
        // clap has seen to two at least.
        let Some((dest, folders)) = self.paths.split_last() else {
            return Err(Failure::usage("arguments", "DIR and DEST are needed"));
        };
        let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        let places = std::iter::once(dest).chain(&self.to).map(to).collect::<Result<Vec<To>, _>>()?;
        // Keys are read only for those who go to another machine.
        let ssh = match places.iter().any(|place| matches!(place, To::Sftp(_))) {
            true => self.ssh.options(ui)?,
            false => Options::default(),
        };
        let observer = ui.observer();
        let next = |wanting: &Wanting| ask(ui, wanting);
        let report = copy::copy(
            &copy::Request {
                folders: &folders,
                to: &places,
                ssh: &ssh,
                trust: policy.as_ref().map(|policy| (policy, clock::now())),
                customer: self.customer.as_ref(),
                next: (self.ask || Ui::can_ask()).then_some(&next),
                mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
            },
            observer.as_ref(),
        )?;
        ui.answer(&report, |page| draw(page, &report));
        advise(ui, &report.findings);
        if let Some(left) = &report.left {
            ui.hint(&format!(
                "{} more are needed: run the same command again, with further media as --to; what was copied is kept",
                ByteSize(left.bytes)
            ));
        }
        let device = |what: &What| matches!(what, What::Miswritten { .. });
        let source = report.findings.iter().any(|f| f.weight == signing::Weight::Refuse && !device(&f.what));
        Ok(match (report.ok, source) {
            (true, _) => Exit::Done,
            (false, true) => Exit::Refused,
            (false, false) => Exit::World,
        })
    }

    fn when_stopped(&self) -> String {
        "What was copied is kept, and does not look whole. The same command goes on with it.".to_owned()
    }
}

/// Asks for the next medium; an empty line, or the end of the input, is none.
fn ask(ui: &Ui, wanting: &Wanting) -> Option<To> {
    let terminal = std::io::stdin().is_terminal();
    let text = format!(
        "{} is full, and can be taken out. Volumes without a place: {}, {}. Put in the next medium and give its folder (an empty line stops):",
        wanting.full,
        wanting.volumes,
        ByteSize(wanting.bytes)
    );
    ui.prompt(&text, terminal);
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    let line = line.trim();
    (!line.is_empty()).then(|| To::Folder(PathBuf::from(line)))
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    let signers: Vec<String> = report.signers.iter().map(ToString::to_string).collect();
    let trust = match report.authenticated {
        true => format!("signed by {}", signers.join(", ")),
        false if report.release.is_none() => "THE SIGNATURES DO NOT HOLD".to_owned(),
        false => "not checked: no trust policy was given".to_owned(),
    };
    let travels = match &report.customer {
        Some(customer) => format!("the grant and licence of {customer}"),
        None => "all grants and licences".to_owned(),
    };
    page.rows(&[("trust", trust), ("with it", travels), ("size", ByteSize(report.bytes).to_string())]);
    for place in &report.places {
        page.gap();
        page.rows(&rows(place, report.dry_run));
    }
    draw_findings(page, &report.findings);
    if let Some(left) = &report.left {
        page.labelled(
            &paint.yellow("no place"),
            &format!("volumes: {}, {}", left.volumes, ByteSize(left.bytes)),
        );
    }
    page.painted(&match (report.ok, report.dry_run) {
        (true, true) => format!("{}: it fits; nothing was written", paint.green("OK")),
        (true, false) => format!("{}: written, flushed, read back and compared", paint.green("OK")),
        (false, _) if refused(&report.findings) && report.places.is_empty() => {
            format!("{}: nothing was copied", paint.red("REFUSED"))
        }
        (false, true) => format!("{}: it does not fit; nothing was written", paint.red("NO ROOM")),
        (false, false) => format!("{}: the copy is not whole", paint.red("NOT DONE")),
    });
}

fn rows(place: &Placed, dry_run: bool) -> Vec<(&'static str, String)> {
    let free = place
        .free
        .map_or_else(|| "it does not tell its room".to_owned(), |free| format!("{} free", ByteSize(free)));
    let volumes = match place.volumes.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{}: {first} to {last}", place.volumes.len()),
    };
    let was = if dry_run { "to write" } else { "written" };
    let mut rows = vec![
        ("to", place.to.clone()),
        ("filesystem", format!("{}, {free}", place.filesystem)),
        ("volumes", volumes),
        ("files", format!("{}, {}; {was} {}", place.files, ByteSize(place.bytes), ByteSize(place.written))),
    ];
    if let Some(way) = place.read_back {
        rows.push((
            "read back",
            match way {
                ReadBack::Direct => "from the device".to_owned(),
                ReadBack::CacheDropped => "after the page cache was emptied of it".to_owned(),
                ReadBack::Sha256sum => "by sha256sum there".to_owned(),
                ReadBack::Sftp => "over the wire".to_owned(),
            },
        ));
    }
    rows
}
