//! `bundle keygen`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::secrets::{NewFrom, Passphrases};
use super::{Exit, Failure, Ui, Verb};
use crate::ops::keygen;

/// Make a key pair: PREFIX.key (private, mode 0600) and PREFIX.pub.
///
/// signing: Ed25519, signs bundles; PEM that openssl reads. recipient: an age identity, opens sealed bundles; what age reads.
/// Nothing is overwritten.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Which pair.
    kind: Kind,
    /// Path of the two files, without .key and .pub.
    #[arg(long, value_name = "PREFIX")]
    out: PathBuf,
    /// Encrypt the private half with a passphrase.
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    passphrases: Passphrases,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Signs bundles.
    Signing,
    /// Opens what is sealed to it.
    Recipient,
}

impl Verb for Keygen {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let wanted = self.passphrase || self.passphrases.passphrase_stdin;
        let what = format!("{}.key", self.out.display());
        let passphrase = wanted.then(|| self.passphrases.ask_new(&what, NewFrom::Anywhere)).transpose()?;
        let kind = match self.kind {
            Kind::Signing => keygen::Kind::Signing,
            Kind::Recipient => keygen::Kind::Recipient,
        };
        let request = keygen::Request { kind, prefix: &self.out, passphrase: passphrase.as_ref() };
        let report = keygen::keygen(&request)?;
        ui.answer(&report, |page| {
            let sealed = if report.encrypted { "encrypted with the passphrase" } else { "not encrypted" };
            let mut rows = vec![
                ("private", format!("{}  (keep it; {sealed})", report.key)),
                ("public", format!("{}  (give it away)", report.public)),
            ];
            rows.extend(report.key_id.map(|id| ("key id", id.to_string())));
            rows.extend(report.recipient.clone().map(|recipient| ("recipient", recipient)));
            page.title(match self.kind {
                Kind::Signing => "Made a signing key",
                Kind::Recipient => "Made an identity and its recipient",
            });
            page.rows(&rows);
        });
        Ok(Exit::Done)
    }
}
