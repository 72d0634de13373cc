//! The README's console session works, line by line, as printed.

use std::path::Path;
use std::process::Command;

#[test]
fn every_console_line_of_the_readme_succeeds_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let lines: Vec<&str> = text
        .split("```console\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap_or("").lines())
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    assert!(lines.len() > 20, "the README has lost its session");
    let scratch = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_bundle")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for line in lines {
        let output = Command::new("sh")
            .args(["-ec", line])
            .current_dir(scratch.path())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", scratch.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "$ {line}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // The scratch folder holds a folder without write permission, as a read-only medium would.
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(scratch.path()).status();
}
