//! The suite: the product against the programs people already have.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "cases"]
mod cases {
    mod against_registries;
    mod archive;
    mod charts;
    mod charts_bad;
    mod cli;
    mod cluster;
    mod copying;
    mod diagnose;
    mod discovery;
    mod example_answers;
    mod example_chart;
    mod example_release;
    mod example_scripts;
    mod example_texts;
    mod exporting;
    mod forge;
    mod grants;
    mod hostile;
    mod index;
    mod installing;
    mod installing_locked;
    mod kills;
    mod licensed;
    mod licenses;
    mod lock;
    mod lock_registry;
    mod medium;
    mod memory;
    mod models;
    mod operator;
    mod peers;
    mod planted;
    mod preflight;
    mod program;
    mod readme;
    mod referrers;
    mod registry;
    mod release;
    mod relocate;
    mod repairing;
    mod serving;
    mod shelf;
    mod signed_images;
    mod signing;
    mod site;
    mod spine;
    mod stage;
    mod stock_tools;
    mod thresholds;
    mod unread_platforms;
    mod upgrades;
    mod vendor;
    mod world;
    mod world_fails;
}
