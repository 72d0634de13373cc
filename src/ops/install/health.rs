//! Whether what was installed answers, asked through the API server: it needs no way from the bastion into the cluster's network.

use std::time::Instant;

use serde::Serialize;

use super::wait::Patience;
use crate::ops::cluster::Reach;
use crate::release::sections::Health;
use crate::tools::kubectl;

/// What one address answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The address.
    #[serde(flatten)]
    pub at: Health,
    /// Whether it answered that all is well (2xx).
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How long an address that does not answer yet is asked again, in seconds: a pod that is ready may be a moment ahead of its service.
const TRIES: u64 = 30;

/// Asks every address in `namespace`.
#[must_use]
pub fn check(addresses: &[Health], namespace: &str, reach: &Reach, patience: &Patience<'_>) -> Vec<Answered> {
    let begun = Instant::now();
    let mut all = Vec::new();
    for at in addresses {
        let why = loop {
            match once(at, namespace, reach) {
                Ok(()) => break String::new(),
                Err(error) => {
                    let stopped = patience.stop.load(std::sync::atomic::Ordering::Relaxed);
                    let settled = matches!(error, kubectl::Error::Forbidden { .. });
                    if stopped || settled || begun.elapsed().as_secs() >= TRIES {
                        break error.to_string();
                    }
                }
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        };
        all.push(Answered { at: at.clone(), ok: why.is_empty(), why });
    }
    all
}

fn once(at: &Health, namespace: &str, reach: &Reach) -> Result<(), kubectl::Error> {
    let Health { service, port, path } = at;
    reach
        .kubectl
        .raw(&format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}"))
        .map(drop)
}
