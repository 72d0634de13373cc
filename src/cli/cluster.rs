//! How a cluster is reached: the options that all commands with a cluster share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use super::install::ask;
use super::interrupt::{Ending, Work};
use super::{Failure, Ui};
use crate::ops::install::wait::Patience;
use crate::progress::Observer;
use crate::tools::kubectl::Cluster;

/// How the cluster is reached: through kubectl, with its own configuration.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct ClusterArgs {
    /// The kubeconfig, when it is not the one kubectl takes by itself (KUBECONFIG, ~/.kube/config).
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in it, when it is not its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// Which cluster.
    pub(super) fn cluster(&self) -> Cluster {
        Cluster { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// How long pods are waited for.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct WaitArgs {
    /// Give up when no pod has moved for this long. There is no limit on the whole.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

impl WaitArgs {
    /// As a time.
    pub(super) fn stall(self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

/// How what a command is about to do to a cluster is shown, agreed to, waited for and stopped.
#[derive(Debug, Args)]
pub(super) struct Doing {
    /// Show what would be done, with the differences, and stop.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do it without asking once more.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[arg(skip)]
    work: Work,
    #[arg(skip)]
    lost: Arc<AtomicBool>,
}

impl Doing {
    /// Whether it may be done: by option, by whoever sits there, or because nobody does. `plan` is shown first.
    pub(super) fn agreed(&self, ui: &Ui, plan: &str, question: &str) -> Result<bool, Failure> {
        if self.yes || !Ui::can_ask() {
            return Ok(true);
        }
        if !plan.is_empty() {
            ui.aside(plan);
        }
        let agreed = ask::confirm(ui.paint(), question)?;
        if !agreed {
            ui.say("nothing was changed");
        }
        Ok(agreed)
    }

    /// Whether it was not agreed to, and nobody can be asked.
    pub(super) fn unasked(&self) -> bool {
        !self.yes && !Ui::can_ask()
    }

    /// From here on a signal stops the work in order.
    pub(super) fn begin<'a>(&'a self, observer: &'a dyn Observer) -> Patience<'a> {
        self.work.begin();
        Patience { observer, stop: self.work.stop(), lost: &self.lost, stall: self.wait.stall() }
    }

    /// How it is stopped.
    pub(super) fn ending(&self) -> Ending {
        Ending::Work(self.work.clone())
    }
}
