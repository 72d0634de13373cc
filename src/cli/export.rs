//! `bundle export`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Opener, Trusted, advise, draw_findings, outside};
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::oci::Platform;
use crate::ops::export::{self, Report};
use crate::ops::unlock;
use crate::plan::export::Form;
use crate::sys::clock;

/// Write a bundle's content in a form that other tools read.
///
/// oci: an image layout with everything, byte for byte (skopeo, umoci, oras). docker-archive: one tar of images for docker load and
/// podman load. dir: a plain tree, images/*.tar, charts/*.tgz, models and files as they were. Checks the signatures first and every
/// digest on the way. What is written appears whole or not at all; nothing is overwritten.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    bundle: Folders,
    /// What to write where: oci:PATH, docker-archive:PATH or dir:PATH.
    #[arg(long, value_name = "FORM:PATH")]
    to: To,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    opener: Opener,
    /// Only this image, chart or model, as bundle inspect names it. Repeatable.
    #[arg(long, value_name = "REF")]
    image: Vec<String>,
    /// Only this platform of each image, like linux/amd64. docker-archive needs it where an image has several.
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
}

/// A form and a path.
#[derive(Debug, Clone)]
struct To {
    form: Form,
    path: PathBuf,
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, path) = text.split_once(':').unwrap_or((text, ""));
        let form = match form {
            "oci" => Form::Layout,
            "docker-archive" => Form::DockerArchive,
            "dir" => Form::Tree,
            _ => return Err("expected oci:PATH, docker-archive:PATH or dir:PATH".to_owned()),
        };
        if path.is_empty() {
            return Err("the path is missing, as in oci:PATH".to_owned());
        }
        Ok(Self { form, path: PathBuf::from(path) })
    }
}

impl Verb for Export {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        outside(&self.to.path, &self.bundle.folders)?;
        let policy = self.trusted.policy()?;
        let key = self.opener.key(ui)?;
        let state = super::bundle::state(&self.bundle.folders)?;
        let observer = ui.observer();
        let request = export::Request {
            bundle: unlock::Request {
                folders: &self.bundle.folders,
                policy: &policy,
                with: key.as_ref().map(super::bundle::Key::with),
                now: clock::now(),
                state: state.as_deref(),
                allow_downgrade: self.trusted.allow_downgrade,
            },
            form: self.to.form,
            to: &self.to.path,
            names: &self.image,
            platform: self.platform.as_ref(),
        };
        let report = export::export(&request, observer.as_ref())?;
        ui.answer(&report, |page| draw(page, &report));
        advise(ui, &report.findings);
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }

    fn when_stopped(&self) -> String {
        let path = self.to.path.display();
        match self.to.form {
            Form::DockerArchive => {
                format!(
                    "{path} does not exist: it appears when it is whole. The same command begins it again."
                )
            }
            Form::Layout | Form::Tree => {
                format!(
                    "{path} does not exist: it appears when it is whole. The same command goes on with what it has."
                )
            }
        }
    }
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&format!("{name} -> {}", report.to));
    draw_findings(page, &report.findings);
    if !report.ok {
        page.painted(&format!("{}: nothing was written", paint.red("REFUSED")));
        return;
    }
    let rows: Vec<Vec<String>> = report
        .written
        .iter()
        .map(|written| {
            let file = written.file.clone().unwrap_or_default();
            vec![written.name.clone(), written.digest.short(), file]
        })
        .collect();
    page.table(&["name", "digest", "file"], &rows);
    for line in &report.left_out {
        page.labelled(&paint.yellow("left out"), line);
    }
    page.painted(&format!("{}: {} written, every digest checked", paint.green("OK"), ByteSize(report.bytes)));
}
