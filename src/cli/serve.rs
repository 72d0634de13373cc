//! `bundle serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::bundle::{Folders, Opener, Trusted, advise, draw_findings};
use super::interrupt::Ending;
use super::ui::{Page, Voice};
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::finding::refused;
use crate::ops::serve::{self, Report};
use crate::ops::unlock;
use crate::plan::mapping::Mapping;
use crate::registry::server::{Entry, Journal, Refused, Stop};
use crate::sys::{clock, environment};

mod hosts;

/// Serve a bundle as a read-only registry, straight from its sealed volumes.
///
/// Checks the signatures, then answers pulls: images under their path without the vendor's registry (docker.io/incidentfox/agent becomes
/// incidentfox/agent), charts under charts/, models under models/. Needs no space on disk. Each blob's digest is checked while it is
/// sent, and a damaged one is broken off and named. Serves until Ctrl-C or SIGTERM, and then lets pulls under way finish.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    bundle: Folders,
    /// Where to listen: ADDRESS:PORT, like 0.0.0.0:5000. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    opener: Opener,
    /// Put what is named FROM… under TO…, the longest rule wins: docker.io/incidentfox=fox. Repeatable.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// Fold paths into one name (a/b becomes a-b).
    #[arg(long)]
    flatten: bool,
    /// Speak TLS with this certificate: a PEM file, the server's certificate first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file that only you can read.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let only users of this file in: made by htpasswd -B. Needs TLS, except on addresses of this machine.
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Print the hosts.toml that lets containerd pull from here under the vendor's names, and where to put it; serve nothing.
    #[arg(long)]
    print_hosts_toml: bool,
    /// The HOST:PORT by which nodes reach this server, for --print-hosts-toml; else the address, or this machine's name.
    #[arg(long, value_name = "HOST:PORT", requires = "print_hosts_toml")]
    name: Option<String>,
    #[arg(skip)]
    stop: Stop,
}

impl Verb for Serve {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        self.check_passwords()?;
        let mapping = Mapping::new("localhost", &self.map, self.flatten)?;
        let policy = self.trusted.policy()?;
        let key = if self.print_hosts_toml { None } else { self.opener.key(ui)? };
        let state = super::bundle::state(&self.bundle.folders)?;
        let request = serve::Request {
            bundle: unlock::Request {
                folders: &self.bundle.folders,
                policy: &policy,
                with: key.as_ref().map(super::bundle::Key::with),
                now: clock::now(),
                state: state.as_deref(),
                allow_downgrade: self.trusted.allow_downgrade,
            },
            mapping: &mapping,
            listen: self.listen,
            tls: self.tls_cert.clone().zip(self.tls_key.clone()),
            htpasswd: self.htpasswd.clone(),
        };
        if self.print_hosts_toml {
            let report = serve::look(&request)?;
            if refused(&report.findings) {
                ui.answer(&report, |page| draw(page, &report));
                advise(ui, &report.findings);
                return Ok(Exit::Refused);
            }
            ui.text(&hosts::text(&report, &self.reached_by()));
            return Ok(Exit::Done);
        }
        let log = Arc::new(Log { ui: Arc::clone(ui) });
        let begun = |report: &Report| {
            ui.answer(report, |page| draw(page, report));
            advise(ui, &report.findings);
            if report.ok && !report.tls && !self.listen.ip().is_loopback() {
                ui.warn("this is plain HTTP: anyone on the way can read it and answer in its place; with --tls-cert and --tls-key they cannot");
            }
        };
        let (report, cut) = serve::serve(&request, log, &self.stop, &begun)?;
        if !report.ok {
            return Ok(Exit::Refused);
        }
        match cut {
            0 => ui.say("stopped; no request was cut"),
            1 => ui.warn("stopped; a connection that did not end by itself was cut"),
            cut => ui.warn(&format!("stopped; {cut} connections that did not end by themselves were cut")),
        }
        Ok(Exit::Done)
    }

    fn when_stopped(&self) -> String {
        "Nothing is served; the bundle was only read.".to_owned()
    }

    fn stop(&self) -> Option<Ending> {
        (!self.print_hosts_toml).then(|| Ending::Server(self.stop.clone()))
    }
}

impl Serve {
    /// A password on a line that anyone can read is everyone's.
    fn check_passwords(&self) -> Result<(), Failure> {
        if self.htpasswd.is_some() && self.tls_cert.is_none() && !self.listen.ip().is_loopback() {
            let message =
                format!("--htpasswd on {} without TLS would send passwords in the clear", self.listen);
            return Err(Failure::usage("plain_passwords", message).hint(
                "add --tls-cert and --tls-key; or listen on 127.0.0.1 behind a proxy that speaks TLS",
            ));
        }
        Ok(())
    }

    /// How nodes reach it.
    fn reached_by(&self) -> String {
        self.name.clone().unwrap_or_else(|| match self.listen.ip() {
            ip if !ip.is_unspecified() => self.listen.to_string(),
            IpAddr::V4(_) | IpAddr::V6(_) => {
                format!("{}:{}", environment::host_name(), self.listen.port())
            }
        })
    }
}

/// Tells each request: a line on stderr, an event with --json or --progress json.
struct Log {
    ui: Arc<Ui>,
}

impl Journal for Log {
    fn request(&self, entry: &Entry) {
        if self.ui.voice() == Voice::Quiet && entry.fault.is_none() {
            return;
        }
        if self.ui.for_programs() {
            let mut event = serde_json::to_value(entry).unwrap_or_default();
            event["event"] = "request".into();
            self.ui.event(&event);
            return;
        }
        if let Some(fault) = &entry.fault {
            self.ui.warn(&format!("{}: {fault}", line(entry)));
        } else {
            self.ui.say(&line(entry));
        }
    }

    fn refused(&self, refused: &Refused) {
        if self.ui.for_programs() {
            self.ui.event(&json!({"event": "connection", "peer": refused.peer, "why": refused.why}));
        } else {
            self.ui.say(&format!("{}: {}", refused.peer, refused.why));
        }
    }
}

fn line(entry: &Entry) -> String {
    let who = entry.user.as_ref().map_or_else(String::new, |user| format!(" ({user})"));
    let end = match (entry.fault.is_some(), entry.left) {
        (true, _) if entry.status >= 500 => ", not served",
        (true, _) => ", broken off",
        (false, true) => ", the client left",
        (false, false) => "",
    };
    format!(
        "{}{who} {} {} {} {} {} ms{end}",
        entry.peer,
        entry.method,
        entry.target,
        entry.status,
        ByteSize(entry.bytes),
        entry.milliseconds
    )
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    draw_findings(page, &report.findings);
    let Some(address) = report.address else {
        page.painted(&format!("{}: nothing is served", paint.red("REFUSED")));
        return;
    };
    let scheme = if report.tls { "https" } else { "http" };
    page.rows(&[
        ("serving at", format!("{scheme}://{address}")),
        ("repositories", format!("{} with {} tags", report.repositories, report.tags)),
        (
            "open to",
            if report.passwords { "users with a password" } else { "everyone who reaches it" }.to_owned(),
        ),
    ]);
    page.line("Ctrl-C ends it.");
}
