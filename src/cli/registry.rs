//! How registries are reached: the options that all commands with a registry share, and the one client made from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::progress::Observer;
use crate::registry::{Client, Options};

/// How registries are reached. Credentials come from the Docker configuration (`docker login`, credential helpers).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registry options")]
pub(super) struct RegistryArgs {
    /// Speak plain HTTP to this host[:port]; hosts of this machine need not be named. Repeatable.
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
    /// A PEM file of certificate authorities to trust besides the system's. Repeatable.
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
    /// Try again when no byte has moved for this long. There is no limit on the whole.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    stall_timeout: u64,
}

impl RegistryArgs {
    /// The client, which tells `observer` of waits and new attempts.
    pub(super) fn client(&self, observer: &Arc<dyn Observer>) -> Result<Arc<Client>, Failure> {
        let options = Options {
            plain_http: self.plain_http.clone(),
            ca_files: self.ca_file.clone(),
            stall: Duration::from_secs(self.stall_timeout),
            ..Options::default()
        };
        Ok(Arc::new(Client::new(&options, Arc::clone(observer))?))
    }
}
