//! What a vendor declares (`release.yaml`) and what it resolves to (`release.lock`).

pub mod lock;
