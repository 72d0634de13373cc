//! A program that stands in for a service: it starts, listens, and answers `/health`.
//!
//! One file, the standard library alone, compiled by `rustc` into a static program that runs in an empty image. What it does is told by
//! the name it is called by. It believes nothing and keeps nothing: it is for trying out a delivery, not for anything else.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let name = env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    end_when_asked();
    let outcome = match name.as_str() {
        // A pod's sandbox: it holds the pod's namespaces and does nothing.
        "pause" => loop {
            std::thread::park();
        },
        "pg_isready" => ready(),
        "pg_dump" => dump(),
        // The one line that the backup script runs in the pod.
        "sh" if env::args().any(|word| word.contains("pg_dump ")) => dump(),
        "sh" => Err("this is no shell".to_owned()),
        _ => serve(&name),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{name}: {why}");
            ExitCode::FAILURE
        }
    }
}

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(status: i32) -> !;
}

/// The first process of a container does not end at SIGTERM unless it says so, and a pod would take its whole grace period to go.
fn end_when_asked() {
    extern "C" fn end(_: i32) {
        // SAFETY: it takes a number and does not return; POSIX lets a signal's handler call it.
        unsafe { _exit(0) }
    }
    // SAFETY: the handler has the type that is asked for, and calls nothing but `_exit`.
    unsafe { signal(15, end) };
}

/// The value of `--name=value`, or of `-c name=value`.
fn option(name: &str) -> Option<String> {
    env::args().find_map(|word| {
        let (left, right) = word.split_once('=')?;
        (left.trim_start_matches('-') == name).then(|| right.to_owned())
    })
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Listens until it is killed.
fn serve(name: &str) -> Result<(), String> {
    let model = option("model").map(PathBuf::from);
    if let Some(model) = &model {
        // As vLLM does: without the model's configuration it does not start.
        let config = model.join("config.json");
        std::fs::metadata(&config).map_err(|error| format!("{}: {error}", config.display()))?;
    }
    let fallback = if name == "postgres" { "5432" } else { "8080" };
    let port = option("port").or_else(|| set("PORT")).unwrap_or_else(|| fallback.to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).map_err(|error| format!("port {port}: {error}"))?;
    let _ = writeln!(std::io::stdout(), "{name} stands in, on port {port}");
    for stream in listener.incoming().flatten() {
        let name = name.to_owned();
        std::thread::spawn(move || {
            let _ = answer(&name, stream);
        });
    }
    Ok(())
}

fn answer(name: &str, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new(stream.try_clone()?.take(64 << 10));
    let mut first = String::new();
    request.read_line(&mut first)?;
    // The rest of the head; a client that is still sending when we close loses the answer.
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, body) = reply(name, path);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn reply(name: &str, path: &str) -> (&'static str, String) {
    match path {
        "/health" => {
            let version = set("INCIDENTFOX_VERSION").unwrap_or_else(|| "stand-in".to_owned());
            let version = version.trim_start_matches('v').to_owned();
            match licence() {
                Ok(state) => ("200 OK", format!("{{\"status\": \"healthy\", \"license\": \"{state}\", \"version\": \"{version}\"}}\n")),
                Err(why) => ("503 Service Unavailable", format!("{{\"status\": \"unhealthy\", \"license\": \"{why}\"}}\n")),
            }
        }
        "/v1/models" => {
            let served = option("served-model-name").unwrap_or_default();
            ("200 OK", format!("{{\"object\": \"list\", \"data\": [{{\"id\": \"{served}\", \"object\": \"model\"}}]}}\n"))
        }
        "/" => ("200 OK", format!("{{\"service\": \"{name}\"}}\n")),
        _ => ("404 Not Found", "{\"error\": \"not found\"}\n".to_owned()),
    }
}

/// Where a licence is expected there must be a file of three parts, as a JWT has. Its signature is not checked here.
fn licence() -> Result<&'static str, &'static str> {
    match (set("LICENSE_MODE").as_deref(), set("LICENSE_FILE")) {
        (Some("offline"), Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|_| "missing")?;
            if text.trim().split('.').count() == 3 { Ok("active") } else { Err("unreadable") }
        }
        (Some(_), _) => Ok("online"),
        (None, _) => Ok("none"),
    }
}

fn ready() -> Result<(), String> {
    let host = option("host").unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = option("port").or_else(|| set("PGPORT")).unwrap_or_else(|| "5432".to_owned());
    TcpStream::connect(format!("{host}:{port}")).map(drop).map_err(|error| format!("{host}:{port}: {error}"))
}

/// What a dump begins with, and no more.
fn dump() -> Result<(), String> {
    std::io::stdout().write_all(b"PGDMP stand-in\n").map_err(|error| error.to_string())
}
