//! Images that stand in for a vendor's: the same names, a program in them that really starts and answers `/health`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;

use super::{Compression, Family, Graph, Layer, Named, index, startable};

const SOURCE: &str = include_str!("standin/server.rs");

/// Compiles the program into `folder`, static, so that it runs in an image with nothing else in it.
///
/// # Errors
/// What the compiler said.
pub fn program(folder: &Path) -> Result<PathBuf, String> {
    let error = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(error)?;
    let (source, program) = (folder.join("server.rs"), folder.join("standin"));
    if program.is_file() && fs::read_to_string(&source).is_ok_and(|there| there == SOURCE) {
        return Ok(program);
    }
    fs::write(&source, SOURCE).map_err(error)?;
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(&compiler)
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "opt-level=s",
            "-C",
            "strip=symbols",
            "-C",
            "panic=abort",
        ])
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() {
        return Ok(program);
    }
    // So that the next run compiles again.
    let _ = fs::remove_file(&source);
    Err(format!("{compiler}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// An image that stands in for `reference` (`incidentfox/agent:v1.2.0`), for each of `platforms`.
///
/// The program is this machine's. On another platform the image has everything but that: it can be carried, not started.
///
/// # Errors
/// Memory is all there is to fail.
pub fn image(reference: &str, platforms: &[&str], program: &[u8]) -> io::Result<Named> {
    let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let here = format!("linux/{}", if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" });
    let start = format!("bin/{name}");
    let names: Vec<&str> = if name == "postgres" {
        vec![&start, "bin/pg_isready", "bin/pg_dump", "bin/sh"]
    } else {
        vec![&start]
    };
    let children: Vec<Graph> = platforms
        .iter()
        .map(|platform| {
            let note = format!("Stands in for {reference} on {platform}.\n");
            let other: &[u8] = b"This platform's program was not built.\n";
            let bytes = if *platform == here { program } else { other };
            let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, bytes)).collect();
            let layers = [
                Layer::of_files(&files, Compression::Gzip)?,
                Layer::of_files(&[("etc/standin", note.as_bytes())], Compression::Gzip)?,
            ];
            Ok(startable(Family::Oci, platform, &layers, &format!("/{start}")))
        })
        .collect::<io::Result<_>>()?;
    let graph = match children.as_slice() {
        [one] => one.clone(),
        several => index(Family::Oci, several, false),
    };
    Ok(Named { repository: repository.to_owned(), tag: tag.to_owned(), graph })
}

/// The files of a model that is small and real: a configuration, a tokenizer, a notice, and weights as safetensors. The same every time.
#[must_use]
pub fn model() -> Vec<(&'static str, Bytes)> {
    let values: Vec<u8> = super::Seed::of("model").bytes(64 * 64 * 2);
    let header = format!(
        "{{\"model.embed_tokens.weight\":{{\"dtype\":\"F16\",\"shape\":[64,64],\"data_offsets\":[0,{}]}}}}",
        values.len()
    );
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend_from_slice(header.as_bytes());
    weights.extend_from_slice(&values);
    vec![
        ("LICENSE", Bytes::from_static(b"A small model that stands in for a large one. Use it as you like.\n")),
        ("USE_POLICY.md", Bytes::from_static(b"Be kind to it.\n")),
        ("config.json", Bytes::from_static(b"{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 64}\n")),
        ("model.safetensors", Bytes::from(weights)),
        ("tokenizer.json", Bytes::from_static(b"{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}\n")),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::{Child, Stdio};

    /// A program that ends with the test.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn ask(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Starts the program by `name`, and waits until it says that it listens.
    fn start(program: &Path, name: &str, prepare: impl Fn(&mut Command)) -> Running {
        let by_name = program.with_file_name(name);
        let _ = fs::remove_file(&by_name);
        std::os::unix::fs::symlink(program, &by_name).unwrap();
        let mut command = Command::new(&by_name);
        command.env_clear().stdout(Stdio::piped());
        prepare(&mut command);
        let mut running = Running(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{name} stands in")), "{line}");
        running
    }

    #[test]
    fn it_starts_and_answers_and_knows_its_licence() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path()).unwrap();
        let licence = folder.path().join("license.jwt");
        let port = free_port();
        let _agent = start(&program, "agent", |command| {
            command.env("PORT", port.to_string()).env("INCIDENTFOX_VERSION", "v1.2.0");
            command.env("LICENSE_MODE", "offline").env("LICENSE_FILE", &licence);
        });
        assert!(ask(port, "/health").contains("503 Service Unavailable"));
        fs::write(&licence, "a.b.c\n").unwrap();
        let told = ask(port, "/health");
        assert!(
            told.contains("{\"status\": \"healthy\", \"license\": \"active\", \"version\": \"1.2.0\"}"),
            "{told}"
        );
    }

    #[test]
    fn vllm_wants_its_model_and_postgres_is_ready() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path()).unwrap();
        let model = format!("--model={}", folder.path().display());
        let output = Command::new(&program).arg(&model).output().unwrap();
        assert!(!output.status.success());
        for (name, bytes) in super::model() {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let port = free_port();
        let _vllm = start(&program, "vllm-openai", |command| {
            command.args([&model, &format!("--port={port}"), "--served-model-name=llama"]);
        });
        assert!(ask(port, "/v1/models").contains("\"id\": \"llama\""));
        let port = free_port();
        let _postgres = start(&program, "postgres", |command| {
            command.args(["-c", &format!("port={port}")]);
        });
        let ready = folder.path().join("pg_isready");
        std::os::unix::fs::symlink(&program, &ready).unwrap();
        let ask = |port: u16| Command::new(&ready).arg(format!("--port={port}")).status().unwrap().success();
        assert!(ask(port) && !ask(free_port()));
    }
}
