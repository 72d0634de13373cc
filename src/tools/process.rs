//! One run of a program: bounded in what it says and in how long it is silent.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::limits;

/// What to run.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The program, as a path.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working folder.
    pub folder: &'a Path,
    /// How long it may say nothing.
    pub patience: Duration,
    /// What it reads on stdin.
    pub input: &'a [u8],
    /// Asks it to end by itself (SIGTERM) once this becomes true.
    pub stop: Option<&'a AtomicBool>,
    /// What it holds open as its stdin, where it is given nothing to read: a turn that lasts as long as it runs.
    pub held: Option<&'a File>,
}

/// How often it is asked whether a program that said all has ended.
const MOMENT: Duration = Duration::from_millis(2);
/// How often [`Run::stop`] is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// The last of what it said, at most [`limits::TOOL_WORDS`] bytes.
    pub stderr: Vec<u8>,
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{program} cannot be run: {source}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It said nothing for too long, and was ended.
    #[error("{program} said nothing for {seconds} seconds, and was ended", program = program.display())]
    Stalled {
        /// The program.
        program: PathBuf,
        /// How long.
        seconds: u64,
    },
    /// It wrote more than is read, and was ended.
    #[error("{program} wrote more than {limit} bytes, and was ended", program = program.display())]
    TooMuch {
        /// The program.
        program: PathBuf,
        /// The limit.
        limit: u64,
    },
}

enum Heard {
    Something,
    Out(Vec<u8>),
    TooMuch,
    Words(Vec<u8>),
}

impl Run<'_> {
    fn stdin(&self) -> io::Result<Stdio> {
        Ok(match self.held {
            Some(held) => held.try_clone()?.into(),
            None if self.input.is_empty() => Stdio::null(),
            None => Stdio::piped(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`ProcessError`]; a program that ends with an error is no error here.
    pub fn run(&self) -> Result<Ended, ProcessError> {
        let program = self.program.to_owned();
        let start = |source| ProcessError::Start { program: program.clone(), source };
        let mut child = Command::new(self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder)
            .stdin(self.stdin().map_err(start)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What it starts in turn ends with it.
            .process_group(0)
            .spawn()
            .map_err(start)?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input.to_vec();
            // One that reads no further has its reason, and says it.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        let (tell, heard) = mpsc::channel();
        let (out, words) = (child.stdout.take(), child.stderr.take());
        let also = tell.clone();
        std::thread::spawn(move || {
            let limit = limits::RENDERED_BYTES;
            let all = out.map(|out| listen(out, &tell, limit)).unwrap_or_default();
            let _ = tell.send(if all.len() as u64 > limit { Heard::TooMuch } else { Heard::Out(all) });
        });
        std::thread::spawn(move || {
            let _ = also.send(Heard::Words(words.map(|words| tail(words, &also)).unwrap_or_default()));
        });
        let (mut stdout, mut stderr) = (None, None);
        let (mut last, mut asked) = (Instant::now(), None::<Instant>);
        while stdout.is_none() || stderr.is_none() {
            let wait = if self.stop.is_some() { LOOK.min(self.patience) } else { self.patience };
            let news = heard.recv_timeout(wait);
            if news.is_ok() {
                last = Instant::now();
            }
            match news {
                Ok(Heard::Something) => {}
                Ok(Heard::Out(all)) => stdout = Some(all),
                Ok(Heard::Words(all)) => stderr = Some(all),
                Ok(Heard::TooMuch) => {
                    end(&mut child);
                    return Err(ProcessError::TooMuch { program, limit: limits::RENDERED_BYTES });
                }
                Err(RecvTimeoutError::Timeout) if last.elapsed() < self.patience => {
                    let ending = Duration::from_secs(limits::ENDING_SECONDS);
                    match asked {
                        Some(since) if since.elapsed() > ending => end(&mut child),
                        None if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) => {
                            asked = Some(Instant::now());
                            signal(&child, rustix::process::Signal::TERM);
                        }
                        Some(_) | None => {}
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    end(&mut child);
                    return Err(ProcessError::Stalled { program, seconds: self.patience.as_secs() });
                }
            }
        }
        // One that closed both and runs on is given the same patience.
        let closed = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(start)? {
                break status;
            }
            if closed.elapsed() >= self.patience {
                end(&mut child);
                return Err(ProcessError::Stalled { program, seconds: self.patience.as_secs() });
            }
            std::thread::sleep(MOMENT.min(self.patience));
        };
        Ok(Ended {
            code: status.code(),
            stdout: stdout.unwrap_or_default(),
            stderr: stderr.unwrap_or_default(),
        })
    }
}

/// Reads up to one byte more than `limit`.
fn listen(from: impl Read, tell: &Sender<Heard>, limit: u64) -> Vec<u8> {
    let mut from = from.take(limit + 1);
    let mut all = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
        let _ = tell.send(Heard::Something);
    }
    all
}

/// Reads all, and keeps the end.
fn tail(mut from: impl Read, tell: &Sender<Heard>) -> Vec<u8> {
    let mut all: Vec<u8> = Vec::new();
    let mut piece = vec![0; 8 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
        let surplus = all.len().saturating_sub(limits::TOOL_WORDS);
        all.drain(..surplus);
        let _ = tell.send(Heard::Something);
    }
    all
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn end(child: &mut Child) {
    signal(child, rustix::process::Signal::KILL);
    let _ = child.kill();
    let _ = child.wait();
}
