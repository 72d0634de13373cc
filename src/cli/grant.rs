//! `bundle grant`.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args};

use super::secrets::{NewFrom, Passphrases};
use super::{Exit, Failure, Ui, Verb};
use crate::bundle::grant::{OpenWith, SealTo};
use crate::ops::grant::{self, GrantName};
use crate::ops::keys;

/// Let one more customer open a bundle: writes grants/NAME.age, touches no volume.
///
/// For a customer without a key, --passphrase; tell it to them by another way than the bundle.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("to").args(["recipient", "passphrase"]).required(true))]
pub(super) struct Grant {
    /// The bundle's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Your identity, which opens a grant that is there: the vendor's escrow.
    #[arg(long, value_name = "FILE", env = "BUNDLE_IDENTITY", hide_env_values = true)]
    identity: PathBuf,
    /// The customer's recipient: age1… or a file of those.
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Option<String>,
    /// Ask for a passphrase that shall open the bundle.
    #[arg(long)]
    passphrase: bool,
    /// What the grant is called, as a rule after the customer.
    #[arg(long)]
    name: GrantName,
    #[command(flatten)]
    passphrases: Passphrases,
}

impl Verb for Grant {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let asked = Cell::new(false);
        let identities = keys::identities(&self.identity, &|path| {
            asked.set(true);
            self.passphrases.ask(ui, path)
        })?;
        let recipients = match &self.recipient {
            Some(recipient) => keys::recipients(recipient)?,
            None => Vec::new(),
        };
        // The passphrase that protects the vendor's key must not become the customer's.
        let from = if asked.get() { NewFrom::NotTheVariable } else { NewFrom::Anywhere };
        let what = format!("the grant {}", self.name);
        let passphrase = self.passphrase.then(|| self.passphrases.ask_new(&what, from)).transpose()?;
        let to = match &passphrase {
            Some(passphrase) => SealTo::Passphrase(passphrase),
            None => SealTo::Recipients(&recipients),
        };
        let with = OpenWith::Identities(&identities);
        let report = grant::grant(&grant::Request { folder: &self.folder, with, to, name: &self.name })?;
        ui.answer(&report, |page| {
            let opens = if report.passphrase { "the passphrase" } else { "the recipient's identity" };
            page.title(&format!("Granted to {}", report.name));
            page.rows(&[
                ("grant", report.file.display().to_string()),
                ("opened by", opens.to_owned()),
                ("key from", report.from.clone()),
            ]);
        });
        Ok(Exit::Done)
    }
}
