//! Verbs: each opens what it needs, decides, carries it out and returns a report. Prints nothing.

pub mod keygen;
pub mod keys;
pub mod lock;
pub mod transfer;
pub mod trust;
