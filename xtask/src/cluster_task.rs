//! `cargo xtask cluster up|down`: the shared cluster, for people and for the tasks that test.

use xtask::cluster::{self, Site};

use crate::{Outcome, say, setup};

pub(crate) fn up() -> Outcome {
    setup::run()?;
    let kubeconfig = cluster::up(&Site::shared()?, &|line| say::line(line))?;
    say::line(&format!("export KUBECONFIG={}", kubeconfig.display()));
    Ok(())
}

pub(crate) fn down() -> Outcome {
    cluster::down(&Site::shared()?, &|line| say::line(line))
}
