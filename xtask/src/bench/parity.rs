//! Mending by parity: one chunk of a volume is damaged, all else of the bundle is hashed and then computed with.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use super::row::{Beside, Row};
use super::spine::{BUILD, BUNDLE, Stage, files};
use super::{bare, machine, medium};

/// Bytes per second of computing that are wanted of one core.
const WANTED: f64 = 0.5e9;

/// `bundle repair` by parity, of a bundle of `bytes` that is built with it.
pub(super) fn row(stage: &Stage<'_>, bytes: u64) -> Result<Row, String> {
    let _ = std::fs::remove_dir_all(stage.folder.join("out"));
    medium::settle();
    stage.bundle(&[BUILD, &["--parity", "5%"]].concat())?;
    let volumes = files(&stage.folder.join(BUNDLE).join("volumes"))?;
    let cores = machine::cores();
    // Every byte is hashed once, and computed with once by all cores.
    let mut row = Row::of(
        "repair by parity",
        bytes,
        (1.0, |rates| {
            let computed = WANTED * f64::from(u32::try_from(machine::cores()).unwrap_or(1));
            1.0 / (1.0 / rates.of(1.0, 0.0, 0.0) + 1.0 / computed)
        }),
    );
    row.measure(&Beside {
        run: &|| {
            let volume = OpenOptions::new().write(true).open(&volumes[0]);
            volume.and_then(|volume| volume.write_all_at(b"damage", 1 << 20)).map_err(|e| e.to_string())?;
            stage.bundle(&["repair", BUNDLE, "--trust", "trust.json", "--progress", "none"])
        },
        medium: None,
        bare: &|| bare::check(&volumes, cores, (1, false)),
    })?;
    // The chunk, while it waits and in its place.
    row.may_write = Some(40 << 20);
    Ok(row)
}
