//! `bundle build`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::counted;
use super::registry::RegistryArgs;
use super::secrets::Passphrases;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::build::{self, Against, Grantee, Mode, Report};
use crate::ops::keys;
use crate::release::lock::Seal;
use crate::sources::Online;
use crate::sys::program;

/// Build a bundle from a lock: writes OUT/NAME-VERSION/, sealed and signed.
///
/// Each payload byte is read once and written once. Stopped at any moment, the same command goes on where it was. A lock that is not
/// of this release.yaml is refused.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// The release; its lock lies beside it.
    #[arg(short, long, value_name = "FILE", default_value = "release.yaml")]
    file: PathBuf,
    /// The folder in which the bundle's folder is made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A private key to sign with; more signatures can be added with bundle sign. Repeatable.
    #[arg(long, value_name = "KEY")]
    sign_key: Vec<PathBuf>,
    /// Who can open it: age1…, a file of those, or NAME= and either. The first is the vendor's escrow. Repeatable.
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Vec<String>,
    /// The size volume files stay below, like 4GiB [default: what release.yaml says].
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<ByteSize>,
    /// Build an upgrade: only what an earlier bundle lacks. BASE is its folder, or its bundle.json alone.
    #[arg(long, value_name = "BASE", conflicts_with = "for")]
    since: Option<PathBuf>,
    /// Build a supplement to an upgrade: the blobs that a customer's request names, as bundle load --request wrote it.
    #[arg(long, value_name = "REQUEST")]
    r#for: Option<PathBuf>,
    /// Parity volumes, like 5%: so much of the volumes can be lost and is mended by bundle repair with nothing sent. One more reading.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    parity: Option<u64>,
    /// Say what would be built, and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    passphrases: Passphrases,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Verb for Build {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let keys = self
            .sign_key
            .iter()
            .map(|path| keys::signing_key(path, &|path| self.passphrases.ask(ui, path)))
            .collect::<Result<Vec<_>, _>>()?;
        let recipients = grantees(&self.recipient)?;
        let observer = ui.observer();
        let client = self.registry.client(&observer)?;
        let request = build::Request {
            file: &self.file,
            out: &self.out,
            sign_keys: &keys,
            recipients: &recipients,
            volume_size: self.volume_size,
            parity: self.parity,
            program: program::running(),
            against: match (&self.since, &self.r#for) {
                (Some(base), _) => Against::Base(base),
                (None, Some(request)) => Against::Request(request),
                (None, None) => Against::Nothing,
            },
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
        };
        let report = build::build(&request, &Online(client), &observer)?;
        ui.answer(&report, |page| draw(page, &report));
        for finding in &report.findings {
            ui.warn(&finding.to_string());
        }
        if !report.dry_run && report.signers.is_empty() {
            ui.warn("it is not signed, so nobody can load it yet: bundle sign DIR --key KEY");
        }
        Ok(Exit::Done)
    }

    fn when_stopped(&self) -> String {
        let done =
            "What is done is kept, in a hidden folder beside the result; the same command goes on from there";
        format!("{done} ({}).", self.out.display())
    }
}

/// The recipients with the names of their grants: the stated one, else the stem of their file, else `escrow` for the first.
fn grantees(given: &[String]) -> Result<Vec<Grantee>, Failure> {
    let mut all: Vec<Grantee> = Vec::new();
    for text in given {
        let (name, text) = match text.split_once('=') {
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text.as_str()),
        };
        let stem = PathBuf::from(text).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        for (number, recipient) in keys::recipients(text)?.into_iter().enumerate() {
            let own = match (&name, &stem) {
                (Some(name), _) => name.clone(),
                (None, Some(stem)) if !text.starts_with("age1") => stem.clone(),
                _ if all.is_empty() => "escrow".to_owned(),
                _ => format!("recipient-{}", all.len() + 1),
            };
            let own = if number == 0 { own } else { format!("{own}-{}", number + 1) };
            let name = own.parse().map_err(|error: crate::ops::grant::GrantNameError| {
                Failure::usage("grant_name", error.to_string()).hint("name it: --recipient acme-corp=FILE")
            })?;
            if all.iter().any(|other| other.name == name) {
                let message = format!("two recipients would get the grant {name}");
                return Err(
                    Failure::usage("grant_name", message).hint("name them: --recipient acme-corp=FILE")
                );
            }
            all.push(Grantee { name, recipient });
        }
    }
    Ok(all)
}

/// A share in percent.
fn share(text: &str) -> Result<u64, String> {
    let share = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<u64>().ok());
    share
        .filter(|share| (1..=100).contains(share))
        .ok_or_else(|| "expected a share from 1% to 100%, like 5%".to_owned())
}

fn draw(page: &mut Page, report: &Report) {
    let done = if report.dry_run { "would be built" } else { "built" };
    page.title(&format!("{} {}: {done}", report.name, report.version));
    let seal = match report.seal {
        Seal::Age => "sealed",
        Seal::None => "not sealed",
    };
    let mut rows = vec![
        ("folder", report.folder.display().to_string()),
        (
            "content",
            format!(
                "{}, {}",
                counted(&[
                    (report.images, "image"),
                    (report.referrers, "referrer"),
                    (report.charts, "chart"),
                    (report.models, "model"),
                    (report.files, "file"),
                    (report.tools, "tool"),
                    (report.blobs, "blob"),
                ]),
                ByteSize(report.payload_bytes)
            ),
        ),
        ("volumes", format!("{}, {seal}, {}", report.volumes, ByteSize(report.volume_bytes))),
    ];
    if let Some(base) = &report.base {
        let relied =
            format!("{}, {}", counted(&[(report.relied_on, "blob")]), ByteSize(report.relied_on_bytes));
        let of = if base.version == report.version { "the upgrade" } else { "the base" };
        rows.push(("relies on", format!("{of}, {} ({}), for {relied}", base.version, base.index.short())));
    }
    if let Some(parity) = &report.parity {
        let whole =
            if parity.whole_volume { ", a whole volume among them" } else { ", but not a whole volume" };
        let volumes = counted(&[(parity.volumes, "volume")]);
        rows.push((
            "parity",
            format!(
                "{} %: {volumes}, {}; any {} chunks can be lost{whole}",
                parity.share,
                ByteSize(parity.bytes),
                parity.chunks
            ),
        ));
    }
    if report.resumed_bytes > 0 {
        rows.push(("resumed", format!("{} were there from before", ByteSize(report.resumed_bytes))));
    }
    if let Some(index) = &report.index {
        rows.push(("bundle.json", index.to_string()));
    }
    let signers: Vec<String> = report.signers.iter().map(ToString::to_string).collect();
    rows.push(("signed by", if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") }));
    if report.seal == Seal::Age {
        let none = report.grants.is_empty();
        rows.push(("granted to", if none { "nobody".to_owned() } else { report.grants.join(", ") }));
    }
    page.rows(&rows);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bundle::grant::Identity;

    #[test]
    fn grants_are_named_after_files_unless_a_name_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let line = || Identity::generate().recipient().to_string();
        let path = folder.path().join("vendor.pub");
        std::fs::write(&path, format!("{}\n{}\n", line(), line())).unwrap();
        let file = path.display().to_string();
        let names = |given: &[String]| -> Vec<String> {
            grantees(given).unwrap().iter().map(|grantee| grantee.name.to_string()).collect()
        };
        assert_eq!(names(&[line(), line()]), ["escrow", "recipient-2"]);
        assert_eq!(names(&[file.clone(), format!("acme={}", line())]), ["vendor", "vendor-2", "acme"]);
        let error = grantees(&[file.clone(), file]).unwrap_err();
        assert_eq!(error.message(), "two recipients would get the grant vendor");
        assert!(grantees(&[format!("../x={}", line())]).is_err());
    }
}
