//! What commands about a bundle share: its folders, the policy, what opens it, and how findings are shown.

use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use clap::Args;
use signing::{Policy, Weight};

use super::failure::Failure;
use super::secrets::Passphrases;
use super::ui::{Page, Ui, Voice};
use crate::bundle::grant::{Identities, OpenWith};
use crate::ops::finding::{Finding, What};
use crate::ops::keys;
use crate::sys::{filesystem, state};

/// Where a bundle is.
#[derive(Debug, Args)]
pub(super) struct Folders {
    /// The bundle's folder; several when its volumes lie on several media.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) folders: Vec<PathBuf>,
}

/// Who is trusted.
#[derive(Debug, Args)]
pub(super) struct Trusted {
    /// Your trust policy, as bundle trust init makes it.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    trust: PathBuf,
    /// Let a release through that is older than the highest one loaded from this machine.
    #[arg(long)]
    pub(super) allow_downgrade: bool,
}

impl Trusted {
    /// The policy.
    pub(super) fn policy(&self) -> Result<Policy, Failure> {
        Ok(keys::policy(&self.trust)?)
    }
}

/// What opens a sealed bundle.
#[derive(Debug, Args)]
pub(super) struct Opener {
    /// Your identity (.key), to which the bundle was granted.
    #[arg(long, value_name = "FILE", env = "BUNDLE_IDENTITY", hide_env_values = true)]
    identity: Option<PathBuf>,
    /// The grant is for a passphrase, not for an identity.
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    passphrases: Passphrases,
}

/// What was given to open a bundle.
pub(super) enum Key {
    /// The identities of a file.
    Identities(Identities),
    /// A passphrase.
    Passphrase(SecretString),
}

impl Opener {
    /// The passphrase of another key that the same command takes.
    pub(super) fn ask(&self, ui: &Ui, path: &Path) -> Option<SecretString> {
        self.passphrases.ask(ui, path)
    }

    /// What was given, if anything was.
    pub(super) fn key(&self, ui: &Ui) -> Result<Option<Key>, Failure> {
        if self.passphrase {
            return Ok(Some(Key::Passphrase(self.passphrases.ask_known(ui, "the bundle")?)));
        }
        let Some(path) = &self.identity else { return Ok(None) };
        let identities = keys::identities(path, &|path| self.passphrases.ask(ui, path))?;
        Ok(Some(Key::Identities(identities)))
    }
}

impl Key {
    /// As the verbs take it.
    pub(super) fn with(&self) -> OpenWith<'_> {
        match self {
            Self::Identities(identities) => OpenWith::Identities(identities),
            Self::Passphrase(passphrase) => OpenWith::Passphrase(passphrase),
        }
    }
}

/// Shows findings, the ones that refuse first.
pub(super) fn draw_findings(page: &mut Page, findings: &[Finding]) {
    let paint = page.paint();
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    for finding in sorted {
        let label = match finding.weight {
            Weight::Refuse => paint.red("refused"),
            Weight::Warn => paint.yellow("warning"),
            Weight::Ignore => paint.dim("ignored"),
        };
        page.labelled(&label, &finding.what.to_string());
    }
}

/// Says on stderr what a page does not when it is not shown, and what to do about a refusal.
pub(super) fn advise(ui: &Ui, findings: &[Finding]) {
    let refusals: Vec<&What> =
        findings.iter().filter(|f| f.weight == Weight::Refuse).map(|finding| &finding.what).collect();
    if ui.voice() == Voice::Quiet {
        for what in &refusals {
            ui.refuse(&what.to_string());
        }
    }
    let mut hints: Vec<&str> = refusals.iter().map(|what| remedy(what)).collect();
    hints.sort_unstable();
    hints.dedup();
    for hint in hints {
        ui.hint(hint);
    }
}

/// Where it is remembered what was seen and done; never in a delivered folder.
pub(super) fn state(folders: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    let state = state::folder();
    if let Some(folder) = &state {
        outside(&folder.join("x"), folders).map_err(|failure| {
            failure.hint("name another folder to remember in: BUNDLE_STATE=/var/lib/bundle")
        })?;
    }
    Ok(state)
}

/// Refuses a file to be written that would lie in a delivered folder, whatever links lead there.
pub(super) fn outside(file: &Path, folders: &[PathBuf]) -> Result<(), Failure> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Folders on the way may still have to be made. What cannot be looked up cannot be written into either, and is told when that is tried.
    let Some(parent) = filesystem::nearest(parent) else { return Ok(()) };
    match folders.iter().find(|folder| folder.canonicalize().is_ok_and(|folder| parent.starts_with(folder))) {
        None => Ok(()),
        Some(folder) => Err(Failure::usage(
            "inside",
            format!(
                "{} lies in {}; a delivered folder is never written to",
                file.display(),
                folder.display()
            ),
        )
        .hint("name a file outside of the bundle")),
    }
}

/// What to do next.
fn remedy(what: &What) -> &'static str {
    match what {
        What::Signature { .. } => {
            "trust nothing of this folder yet: copy it again from its source, or ask the vendor (not by way of this delivery) which keys \
             sign and until when"
        }
        What::Missing { .. } => {
            "what is missing may lie on another medium: name its folder too; else copy it again from where it came, or mend this copy: bundle repair"
        }
        What::Changed { .. } | What::Size { .. } | What::Damaged { .. } | What::Unreadable { .. } => {
            "copy the files named above again from where they came; the others need not be copied. Or mend this copy by the piece: bundle repair"
        }
        What::Miswritten { .. } => {
            "the medium, its plug or its reader is failing: copy to another one; what is there is not named as whole"
        }
        What::Denied { .. } => "let this user read the files named above, or run as one who may",
        What::Gone { .. } => "put the medium back and run the same command again",
        What::OtherKey { .. } => {
            "ask the vendor for the grant for this release, and put it into the folder grants/"
        }
        What::Extra { .. } => "whatever is not listed is not the vendor's: take it out of the folder",
        What::Contradiction { .. }
        | What::NotOpened { .. }
        | What::WrongBlob { .. }
        | What::WrongManifest { .. }
        | What::WrongTar { .. }
        | What::WrongName { .. }
        | What::Idle { .. }
        | What::Unsigned { .. }
        | What::Graph { .. } => {
            "this was signed as it is, so copying again does not help: send this report to the vendor"
        }
        What::BaseLacks { .. } => {
            "name the folder of the bundle that was loaded before, --base DIR; without one, --request FILE writes what is lacking, for the vendor \
             to cut a supplement from, which is then given as --base"
        }
        What::Base { .. } => {
            "verify the base bundle by itself: bundle verify DIR; leave --base out if the registry has everything"
        }
        What::License { verdict, .. } => super::preflight::remedy::licence(verdict),
        What::IdleRule { .. } => "compare it with the names that bundle inspect shows; nothing else is wrong",
        What::NoMemory => "name a folder of this user's that stays: BUNDLE_STATE=/var/lib/bundle",
        What::NotRemembered { .. } => {
            "mend that, or name another folder (BUNDLE_STATE), and run the same command again: nothing is sent twice"
        }
        What::Downgrade { .. } => "if going back is meant: --allow-downgrade",
        What::Unmended { .. } => {
            "give another copy (--from, more than once if need be); or send bundle verify --json > report.json to the vendor, who cuts \
             what is missing: bundle parts --for report.json"
        }
        What::Unchecked { .. } => "what could not be checked is not proved; mend that, and check again",
    }
}

/// `2 images, 1 chart`: what there is of each, nothing left out but what there is none of; images always.
pub(super) fn counted(all: &[(usize, &str)]) -> String {
    let parts: Vec<String> = all
        .iter()
        .enumerate()
        .filter(|(place, (count, _))| *place == 0 || *count > 0)
        .map(|(_, (count, what))| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}
