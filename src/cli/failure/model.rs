//! Faults of models, and of the hubs and folders they are read from.

use super::{Failure, file, store};
use crate::sources::ModelError;

/// What follows from a fault of a model, without its words.
pub(super) fn of(error: &ModelError) -> Failure {
    let usage = |hint: &str| Failure::usage("model", "").hint(hint);
    match error {
        ModelError::Store(error) => store::of(error),
        ModelError::File(error) => file::of(error),
        ModelError::Origin(_) => usage("name it by from: dir:PATH or from: hf://OWNER/NAME@COMMIT"),
        ModelError::Pattern(_) => usage("* is any text without /, ? one character, **/ any folders; include: takes nothing else"),
        ModelError::Endpoint { .. } => Failure::usage("hub", "").hint("like HF_ENDPOINT=https://hub.acme.internal"),
        ModelError::Token { .. } => Failure::usage("hub", "").hint("make a new token on the hub and store it again"),
        ModelError::NoClient(_) => Failure::world("hub", ""),
        ModelError::NotPinned { repo, sha, .. } => {
            usage(&format!("a branch moves, a commit does not; look at what it is now, then write hf://{repo}@{sha}"))
        }
        ModelError::Moved { .. } => Failure::refused("moved", "")
            .hint("a commit never becomes another: the hub or the mirror (HF_ENDPOINT) is wrong"),
        ModelError::TooManyListed { .. } | ModelError::TooManyFiles { .. } => {
            usage("choose what is needed with include:, or join small files into an archive")
        }
        ModelError::Empty { .. } | ModelError::UnusedPattern { .. } => {
            usage("look at the names there; patterns are matched against whole paths, **/*.json reaches into folders")
        }
        ModelError::Name(_) | ModelError::Case(_) | ModelError::Whiteout(_) => {
            usage("leave the file out with include:, or rename it in a copy and name that as dir:PATH")
        }
        ModelError::TooLarge(fault) => usage(&format!(
            "no mount joins a file out of several layers, so it must fit one: raise max-layer to {} if the customer's registry takes that, or save the weights again in at least {} shards (transformers: save_pretrained(…, max_shard_size=…))",
            fault.layer,
            fault.layer.div_ceil(fault.max.0.max(1)).max(2)
        )),
        ModelError::NoNotice { .. } => usage("notice: is a path among the model's files, and include: must take it"),
        ModelError::NoticeTooLong { .. } => usage("name the text itself, not an archive of it"),
        ModelError::Header { .. } => Failure::refused("safetensors", "")
            .hint("the file is damaged or not what its name says; get it again from where it was made"),
        ModelError::Shards(_) => Failure::refused("shards", "")
            .hint("the model is not whole as it is chosen: look at include:, and get what is missing from where it was made"),
        ModelError::Wrong { .. } => Failure::refused("wrong_digest", "")
            .hint("what came is not what the hub lists: a proxy or mirror interferes, or the hub is damaged"),
    }
}
