//! `bundle`: releases for places without internet, as one signed, sealed folder.
//!
//! This page is the map. What the program is for is in `README.md`, the folder it makes in `docs/format.md`, who trusts whom in
//! `docs/trust.md`.
//!
//! # Pipeline
//!
//! ```text
//! release.yaml --lock--> release.lock --build--> NAME-VERSION/ --sign, grant--> the medium --verify, load--> a registry
//! release::model         release::lock           bundle                         ops::open                    registry
//! ```
//!
//! What is done to content is a copy of a graph of blobs from one place to another, by one engine, `ops::transfer`: it feeds one stream
//! in order, or many at the same time, and lets nothing through that is not what its digest names.
//!
//! | verb | from | to |
//! |---|---|---|
//! | build | `sources`: registries, layouts, archives | `store::writer`: sealed volumes |
//! | load | `store::volumes` | `registry` |
//! | serve | `store::proven`, read ahead by `store::ahead` | `registry::server`: whoever asks |
//! | export | `store::ahead` | `sys::place`: a layout, a docker archive, a plain tree |
//! | verify | `store::volumes` | nothing: hash and forget, chunk by chunk on all cores |
//! | copy | the delivered files as they are | `courier`: a stick, a folder behind SFTP; read back from there |
//! | repair, parts | other copies, `store::parity` | `sys::mend`: the damaged chunks of a copy; a folder of parts |
//!
//! # Layers
//!
//! A module names its own layer and lower ones; `cargo xtask tidy` fails on an upward `use`.
//!
//! ```text
//! 5 face      cli                                    talks to people; alone prints, asks, gives advice, picks exit codes
//! 4 verbs     ops                                    opens ports, asks a plan, carries it out, returns a report
//! 3 ports     registry sources store courier sys tools  touch network, disk, clock, programs; async stays inside
//! 2 plans     plan                                   facts in, decisions out
//! 1 formats   release bundle oci chart weights license relocate  codecs over bytes; know no path, clock or network
//! 0 words     digest path limits checked buffers progress text  values that every layer may use; and the crate `signing`
//! ```
//!
//! To follow one delivery through the code: [`release::model`], [`ops::lock`], [`release::lock`], [`plan::payload`],
//! [`bundle::geometry`], [`ops::build`], [`store::writer`], [`bundle::index`], [`ops::open`], [`ops::verify`], [`plan::load`],
//! [`ops::load`].
//!
//! # What holds everywhere
//!
//! - **A delivered folder is only read.** `sign` and `grant` add files to the vendor's; `repair` alone writes to the operator's, through `sys::mend`,
//!   and only what is as signed.
//! - **Signature first.** `ops::open` reads `SHA256SUMS` and its signatures. What reads on takes an [`ops::open::Authenticated`], which
//!   holds a [`signing::Verified`]; only the verification in `signing` makes one.
//! - **The payload is laid out before a layer of it is read.** The lock pins every size, so every offset and every volume follows by
//!   arithmetic, and the same lock gives the same payload on any machine. What it leaves to configurations, it pins by their digests.
//! - **Bytes are hashed where they pass,** by the one [`digest::Hasher`]. What a source gives is believed when its digest is the pinned
//!   one.
//! - **One nonce never seals two plaintexts.** What is written again under a used key must come out the same, or the volume gets a
//!   fresh key.
//! - **Written whole or not at all.** A temporary name, a sync, a rename: [`sys::fs`]. A build becomes visible by its last rename.
//! - **Every number from outside has a limit,** in [`limits`], with its reason. At the limit is accepted; past it is refused by name.
//! - **Errors carry facts, findings are collected.** Only the face turns them into advice. "Could not ask" is never "nothing there".

// 0: words.
pub mod buffers;
pub mod checked;
pub mod digest;
pub mod limits;
pub mod path;
pub mod progress;
pub mod text;

// 1: formats. What the vendor declares, the images it names, the folder that carries them.
pub mod release;

pub mod oci;

pub mod chart;

pub mod weights;

pub mod bundle;

pub mod relocate;

pub mod license;

// 2: plans.
pub mod plan;

// 3: ports. The machine, where images come from, where blobs lie, where they go.
pub mod sys;

pub mod sources;

pub mod store;

pub mod registry;

pub mod courier;

pub mod tools;

// 4: verbs.
pub mod ops;

// 5: the face.
pub mod cli;
