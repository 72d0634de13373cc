//! A model that is much larger than the memory that is promised.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::Stdio;
use std::time::Duration;

use xtask::registry::{Config, Server, Storage};

use super::Bench;
use crate::cases::program::Program;

/// Bytes of the model: four times what may be held.
const BYTES: u64 = 512 << 20;
/// What may be held.
const MEMORY: u64 = 128 << 20;

/// Peak memory and bytes read of a run, as /proc tells them.
#[derive(Debug, Default)]
struct Measured {
    memory: u64,
    read: u64,
}

fn measured(bench: &Bench, arguments: &[String]) -> Measured {
    let program = Program::at(bench.stage.folder.path());
    let mut child = program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let field = |file: &str, name: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|v| v.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    let mut seen = Measured::default();
    loop {
        seen.memory = seen.memory.max(field("status", "VmHWM:") * 1024);
        seen.read = seen.read.max(field("io", "rchar:"));
        // Ended but not waited for, its counters are still there for the last look.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        if state.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z')) {
            seen.read = seen.read.max(field("io", "rchar:"));
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    seen
}

#[test]
fn a_large_model_streams_in_and_out_at_constant_memory_and_each_byte_is_read_once() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("weights")).unwrap();
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{BYTES}],"data_offsets":[0,{BYTES}]}}}}"#);
    let mut file = BufWriter::new(File::create(bench.path("weights/model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..BYTES / 8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    bench.release("dir:weights", &[]);

    let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    // Keys, texts and the program's own libraries are read too; a second reading would be far more.
    let once = BYTES + (BYTES >> 4);
    let lock = measured(&bench, &words(&["lock"]));
    assert!(lock.memory <= MEMORY && (BYTES..once).contains(&lock.read), "lock: {lock:?}");
    let build = measured(&bench, &bench.stage.build("out"));
    assert!(build.memory <= MEMORY && (BYTES..once).contains(&build.read), "build: {build:?}");
    let bundle = bench.stage.bundle("out");
    let registry = Server::start(Config { storage: Storage::Discard, ..Config::default() }).unwrap();
    let load = measured(&bench, &bench.stage.load(&bundle, &registry.host()));
    assert!(load.memory <= MEMORY, "load: {load:?}");
    assert!(registry.stats().blob_received >= BYTES);
}
