//! What a check saw, in one line: facts, without advice.

use crate::checked::ByteSize;
use crate::plan::preflight::{Seen, Style};

/// One line.
pub(in crate::cli) fn words(seen: &Seen) -> String {
    match seen {
        Seen::Told { detail, .. } | Seen::NoCluster { detail, .. } => detail.clone(),
        Seen::Registry { place } => format!("{place} answers and accepts who we are"),
        Seen::RegistryNotNamed => "not checked: no registry was named".to_owned(),
        Seen::RegistryFault { place, detail, .. } => format!("{place}: {detail}"),
        Seen::UploadTaken { repository, bytes, style: Style::Whole } => {
            format!("a throw-away blob of {} was taken into {repository}", ByteSize(*bytes))
        }
        Seen::UploadTaken { style: Style::Pieces, .. } => {
            "uploads in pieces are taken: one that breaks off goes on where it was".to_owned()
        }
        Seen::UploadRefused { repository, bytes, style: Style::Whole, detail, .. } => {
            format!("a throw-away blob of {} was not taken into {repository}: {detail}", ByteSize(*bytes))
        }
        Seen::UploadRefused { style: Style::Pieces, detail, .. } => {
            format!("uploads in pieces are not taken, so one that breaks off begins again: {detail}")
        }
        Seen::PathTooDeep { repository, taken } => {
            format!("names as deep as {repository} are refused; {taken} is not")
        }
        Seen::ProbeKept { repository, bytes, digest, detail } => format!(
            "the throw-away blob ({}, {digest}) stays in {repository}, with nothing that refers to it: {detail}",
            ByteSize(*bytes)
        ),
        Seen::LargestBlob { bytes, tried } => format!(
            "the largest blob to send has {}; what was tried had {}, so limits between them are not known",
            ByteSize(*bytes),
            ByteSize(*tried)
        ),
        Seen::Version { got, wanted: Some(wanted) } => {
            format!("Kubernetes {got}; the release needs {wanted}")
        }
        Seen::Version { got, wanted: None } => format!("Kubernetes {got}"),
        Seen::NotAsked { subject, detail } => format!("{subject}: not checked: {detail}"),
        Seen::Allowed { namespace, count } => {
            format!(
                "this user may do what an installation does in namespace {namespace} ({count} things asked)"
            )
        }
        Seen::Forbidden { namespace, missing } => {
            let all: Vec<String> = missing.iter().map(ToString::to_string).collect();
            format!("this user may not, in namespace {namespace}: {}", all.join(", "))
        }
        Seen::Nodes { ready, all } => format!("{ready} of {all} take pods"),
        Seen::NoNodes { all: 0 } => "there are none".to_owned(),
        Seen::NoNodes { all } => format!("none of {all} takes pods: not ready, closed, or tainted"),
        Seen::SmallNodes { names, enough, resource, most, wanted } => format!(
            "{}: {most} of {resource} at most, of {wanted} that each should have; {enough} nodes have it",
            some(names)
        ),
        Seen::LargeNodes { resource, wanted } => format!("{resource}: each has {wanted} or more"),
        Seen::OtherPlatform { names, platform, carried } => {
            format!("{} are {platform}; the images are for {}", some(names), carried.join(", "))
        }
        Seen::Gpus { count, nodes } => format!("{count} GPUs on {nodes} nodes"),
        Seen::NoGpus { models } if models.is_empty() => "no node offers a GPU".to_owned(),
        Seen::NoGpus { models } => {
            format!("no node offers a GPU, and the bundle carries {}", models.join(", "))
        }
        Seen::NodeDisk { names, bytes } if names.is_empty() => {
            format!("disk: each has room for all of the bundle, {} packed", ByteSize(*bytes))
        }
        Seen::NodeDisk { names, bytes } => {
            format!("disk: {} have less than all of the bundle, {} packed", some(names), ByteSize(*bytes))
        }
        Seen::ClassThere { kind, name } => format!("{kind} {name} is there"),
        Seen::ClassMissing { kind, name, there } => {
            let which = match name {
                Some(name) => format!("there is no {kind} {name}"),
                None if *kind == "storage class" => format!("there is no default {kind}"),
                None => format!("there is no {kind}"),
            };
            if there.is_empty() {
                format!("{which}, and no other")
            } else {
                format!("{which}; there are {}", some(there))
            }
        }
        Seen::Postgres { at, got, wanted } => {
            let needs =
                wanted.as_ref().map_or_else(String::new, |wanted| format!("; the release needs {wanted}"));
            match got {
                Some(got) => format!("{at} is PostgreSQL {}.{}{needs}", got.major, got.minor),
                None => format!("{at} is PostgreSQL; it tells its version only after a login{needs}"),
            }
        }
        Seen::NoPostgres { at, detail } => format!("{at}: {detail}"),
        Seen::PostgresNotNamed { wanted } => {
            format!("none outside the cluster was named; where one is used, it must be {wanted}")
        }
        Seen::Disk { path, free, needed } => {
            format!("{} free in {path}, of {} needed", ByteSize(*free), ByteSize(*needed))
        }
        Seen::Clock { ahead: 0 } => "the cluster's clock and this machine's agree".to_owned(),
        Seen::Clock { ahead } if *ahead > 0 => {
            format!("the cluster's clock is {ahead} s ahead of this machine's")
        }
        Seen::Clock { ahead } => format!("the cluster's clock is {} s behind this machine's", -ahead),
    }
}

/// The first names, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
