//! Whether everything in the payload hangs together: roots are whole, and nothing lies there that no root needs.

use std::collections::{HashMap, HashSet};

use crate::bundle::index::Index;
use crate::digest::Digest;
use crate::ops::finding::{Finding, What};
use crate::plan::load::{GraphError, Known, about, walk};

/// Everything that hangs on a root must be there, and what refers to something must say so itself.
pub(super) fn check(index: &Index, manifests: &HashMap<Digest, Known>) -> Vec<Finding> {
    let sizes = index.sizes();
    let finding =
        |root: String, fault: GraphError| Finding::refuse(What::Graph { root, detail: fault.to_string() });
    let mut reached = HashSet::new();
    let mut findings = Vec::new();
    for root in index.roots() {
        match walk(root.digest, manifests, &sizes) {
            Ok((order, blobs)) => {
                reached.extend(order.into_iter().chain(blobs.iter().map(|blob| blob.digest)));
            }
            Err(fault) => findings.push(finding(root.name, fault)),
        }
    }
    let idle = || index.all_blobs().filter(|blob| !reached.contains(&blob.digest));
    if findings.is_empty()
        && let Some(first) = idle().next()
    {
        findings.push(Finding::refuse(What::Idle { digest: first.digest, blobs: idle().count() }));
    }
    let about = index
        .referrers
        .iter()
        .filter_map(|one| about(one, manifests).err().map(|fault| finding(one.to_string(), fault)));
    findings.extend(about);
    findings
}
