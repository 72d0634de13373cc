//! Verbs: each opens what it needs, decides, carries it out and returns a report. Prints nothing.

pub mod build;
pub mod cluster;
pub mod copy;
pub mod diff;
pub mod export;
pub mod finding;
pub mod grant;
pub mod inspect;
pub mod install;
pub mod keygen;
pub mod keys;
pub mod license;
pub mod load;
pub mod lock;
pub mod manifests;
pub mod open;
pub mod preflight;
pub mod relocate;
pub mod remember;
pub mod repair;
pub mod serve;
pub mod sign;
pub mod transfer;
pub mod trust;
pub mod unlock;
pub mod verify;
