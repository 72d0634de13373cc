//! The receipts of `bundle verify`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::bundle::{Opener, outside};
use super::super::ui::Page;
use super::super::{Exit, Failure, Ui};
use crate::ops::keys;
use crate::ops::receipt::{self, Checked, Receipt, Signature};
use crate::ops::verify::Report;
use crate::sys::environment;
use signing::{Policy, SecretKey};

/// Writing a receipt, and checking one.
#[derive(Debug, Args)]
pub(super) struct Receipts {
    /// Write a receipt of this check: who, what, when, by which policy, every finding. Outside of the bundle; nothing may be there.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Sign the receipt with this private key: FILE.sig, which openssl checks too.
    #[arg(long, value_name = "KEY", requires = "receipt")]
    receipt_key: Option<PathBuf>,
    /// Check a receipt instead of a bundle.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["receipt", "receipt_key", "folders", "identity"])]
    pub(super) receipt_check: Option<PathBuf>,
    /// The public key that must have signed the receipt.
    #[arg(long, value_name = "PUB", requires = "receipt_check")]
    key: Option<PathBuf>,
}

/// A receipt that will be written.
pub(super) struct Wanted<'a> {
    file: &'a Path,
    key: Option<SecretKey>,
}

impl Receipts {
    /// The receipt that is wanted, if one is; found out to be possible before the long work.
    pub(super) fn wanted(
        &self,
        folders: &[PathBuf],
        opener: &Opener,
        ui: &Ui,
    ) -> Result<Option<Wanted<'_>>, Failure> {
        let Some(file) = &self.receipt else { return Ok(None) };
        outside(file, folders)?;
        receipt::probe(file)?;
        let key = self.receipt_key.as_deref();
        let key = key.map(|path| keys::signing_key(path, &|path| opener.ask(ui, path))).transpose()?;
        Ok(Some(Wanted { file, key }))
    }

    /// Checks a receipt.
    pub(super) fn check(&self, file: &Path, ui: &Ui) -> Result<Exit, Failure> {
        let key = self.key.as_deref().map(keys::public_key).transpose()?;
        let checked = receipt::check(file, key.as_ref())?;
        ui.answer(&checked, |page| draw(page, &checked));
        match checked.signature {
            Signature::DoesNotHold { .. } => ui.hint(
                "the receipt or its signature was changed, or another key signed it; trust nothing that it says",
            ),
            Signature::Missing if key.is_some() => ui.hint("it lies beside the receipt, as FILE.sig, when a key was given"),
            Signature::Missing | Signature::NotChecked => {
                ui.warn("who wrote this receipt is not proved: give the key of whoever checked, --key PUB");
            }
            Signature::Holds { .. } => {}
        }
        Ok(if checked.ok { Exit::Done } else { Exit::Refused })
    }
}

impl Wanted<'_> {
    /// Writes the receipt.
    pub(super) fn write(
        &self,
        folders: &[PathBuf],
        (policy, policy_bytes): (&Policy, &[u8]),
        (now, allow_downgrade): (Option<i64>, bool),
        report: &Report,
    ) -> Result<(), Failure> {
        let less_safe = [
            (allow_downgrade, "--allow-downgrade"),
            (now.is_none(), "the clock is not set"),
            (environment::text("BUNDLE_PASSPHRASE").is_some(), "BUNDLE_PASSPHRASE is set"),
        ];
        let less_safe = less_safe.into_iter().filter(|(used, _)| *used).map(|(_, what)| what.to_owned());
        let receipt = Receipt {
            folders,
            policy: (policy, policy_bytes),
            now,
            user: environment::user(),
            host: environment::host_name(),
            less_safe: less_safe.collect(),
            report,
        };
        Ok(receipt::write(self.file, &receipt, self.key.as_ref())?)
    }
}

fn draw(page: &mut Page, checked: &Checked) {
    let paint = page.paint();
    let name = match &checked.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "A bundle whose signatures did not hold".to_owned(),
    };
    page.title(&format!("receipt of {name}"));
    let mut rows = vec![
        (
            "checked",
            checked.checked_at.clone().unwrap_or_else(|| "at an unknown time: no clock was set".to_owned()),
        ),
        ("by", format!("{} ({}) on {}", checked.checker.user, checked.checker.uid, checked.checker.host)),
        ("with", format!("{} {}", checked.program.name, checked.program.version)),
        ("policy", format!("version {}, {}", checked.policy.version, checked.policy.sha256)),
        ("findings", checked.findings.to_string()),
    ];
    if let Some(index) = &checked.index {
        rows.insert(0, ("bundle.json", index.to_string()));
    }
    if !checked.less_safe.is_empty() {
        rows.push(("less safe", checked.less_safe.join("; ")));
    }
    rows.push((
        "the bundle",
        if checked.bundle_ok {
            "was what the vendor signed"
        } else {
            "was refused, or not all of it could be read"
        }
        .to_owned(),
    ));
    page.rows(&rows);
    let verdict = match checked.signature {
        Signature::Holds { key } => format!("{}: signed by {key}", paint.green("OK")),
        Signature::DoesNotHold { key } => format!("{}: it is not signed by {key}", paint.red("REFUSED")),
        Signature::Missing if !checked.ok => format!("{}: it is not signed", paint.red("REFUSED")),
        Signature::Missing => format!("{}: it is not signed", paint.yellow("NOT PROVED")),
        Signature::NotChecked => format!("{}: no key was given", paint.yellow("NOT PROVED")),
    };
    page.painted(&verdict);
}
