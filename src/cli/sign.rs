//! `bundle sign`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::secrets::Passphrases;
use super::{Exit, Failure, Ui, Verb};
use crate::ops::{keys, sign};

/// Add a signature to a bundle: for thresholds, and for keys that never touch the build machine.
///
/// Signs SHA256SUMS and thereby every file it lists. Run bundle verify, or sha256sum -c, before you sign for the volumes.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The bundle's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The private key.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    #[command(flatten)]
    passphrases: Passphrases,
}

impl Verb for Sign {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let key = keys::signing_key(&self.key, &|path| self.passphrases.ask(ui, path))?;
        let report = sign::sign(&self.folder, &key)?;
        ui.answer(&report, |page| {
            page.title(&format!("{} {}: signed", report.release.name, report.release.version));
            let mut rows =
                vec![("key id", report.key_id.to_string()), ("SHA256SUMS", report.sums.to_string())];
            rows.extend(report.files.iter().map(|file| ("written", file.display().to_string())));
            page.rows(&rows);
        });
        Ok(Exit::Done)
    }
}
