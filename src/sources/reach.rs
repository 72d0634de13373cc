//! What sources are reached through: registries, and other servers.

use std::sync::Arc;

use super::{Images, Remote};
use crate::oci::Reference;
use crate::registry::Client;

/// What sources are reached through.
pub trait Reach: Sync {
    /// The repository of a reference.
    fn repository(&self, reference: &Reference) -> Arc<dyn Images>;

    /// The client that asks chart repositories, hubs and other servers; none when only registries are stood in for.
    fn client(&self) -> Option<&Arc<Client>> {
        None
    }
}

/// The network.
#[derive(Debug)]
pub struct Online(pub Arc<Client>);

impl Reach for Online {
    fn repository(&self, reference: &Reference) -> Arc<dyn Images> {
        Arc::new(Remote::new(Arc::clone(&self.0), reference))
    }

    fn client(&self) -> Option<&Arc<Client>> {
        Some(&self.0)
    }
}

/// Registries alone.
impl<F: Fn(&Reference) -> Arc<dyn Images> + Sync> Reach for F {
    fn repository(&self, reference: &Reference) -> Arc<dyn Images> {
        self(reference)
    }
}
