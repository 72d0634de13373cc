//! One connection: the machine's key judged, the user let in, the SFTP session begun.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh_sftp::client::{Config as SftpConfig, RawSftpSession};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::known::{self, At, Entry, Judgement};
use super::{Address, Options};
use crate::courier::Error;
use crate::limits;
use crate::sys::{environment, fs};

/// Seconds a machine may take to answer at all, and to let somebody in.
const ANSWER: Duration = Duration::from_secs(30);
/// Seconds without a word after which the machine is asked whether it is still there; three times.
const ALIVE: Duration = Duration::from_secs(15);
/// Seconds that one request may wait for its answer: with a window of requests under way, a very slow link.
const STALL: u64 = 120;

/// A connection on which files are moved.
pub(super) struct Link {
    handle: Handle<Judge>,
    pub(super) sftp: Arc<RawSftpSession>,
    pub(super) extensions: HashMap<String, String>,
}

/// Judges the key that the machine shows.
struct Judge {
    known: Vec<Entry>,
    verdict: Arc<Mutex<Option<Seen>>>,
}

/// What was shown, and what follows.
struct Seen {
    judgement: Judgement,
    fingerprint: String,
    line: String,
}

impl Handler for Judge {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let seen = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => Seen {
                judgement: known::judge(&self.known, key),
                fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
                line: key.to_openssh().unwrap_or_default(),
            },
            // None was asked for.
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        let good = seen.judgement == Judgement::Known;
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(good)
    }
}

impl Link {
    /// Connects, and is let in.
    pub(super) async fn open(address: &Address, options: &Options) -> Result<Self, Error> {
        let link = |why: String| Error::Link { place: address.to_string(), why };
        let stream =
            timeout(ANSWER, dial(address)).await.map_err(|_| link("it does not answer".to_owned()))??;
        let (known, files) = known(address, options)?;
        let verdict = Arc::new(Mutex::new(None));
        let mut config =
            client::Config { keepalive_interval: Some(ALIVE), nodelay: true, ..client::Config::default() };
        // A machine has keys of several kinds: it is asked for one that it is known by.
        let mut kinds = config.preferred.key.to_vec();
        kinds.sort_by_key(|kind| !known.iter().any(|entry| !entry.revoked && entry.key.algorithm() == *kind));
        config.preferred.key = kinds.into();
        let judge = Judge { known, verdict: Arc::clone(&verdict) };
        let connected = timeout(ANSWER, client::connect_stream(Arc::new(config), stream, judge)).await;
        let seen = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = seen.and_then(|seen| refusal(address, seen, &files)) {
            return Err(error);
        }
        let mut handle = connected
            .map_err(|_| link("it does not answer".to_owned()))?
            .map_err(|error| link(error.to_string()))?;
        timeout(ANSWER, log_in(&mut handle, address, options))
            .await
            .map_err(|_| link("it does not answer".to_owned()))??;
        let none = |why: String| Error::NoSftp { place: address.to_string(), why };
        let channel = handle.channel_open_session().await.map_err(|error| link(error.to_string()))?;
        channel.request_subsystem(true, "sftp").await.map_err(|error| none(error.to_string()))?;
        let settings = SftpConfig { request_timeout_secs: STALL, ..SftpConfig::default() };
        let sftp = RawSftpSession::new_with_config(channel.into_stream(), settings);
        let begun = timeout(ANSWER, sftp.init()).await;
        let version = match begun {
            Ok(Ok(version)) => version,
            _ if handle.is_closed() => return Err(link("the connection broke".to_owned())),
            Ok(Err(error)) => return Err(none(error.to_string())),
            Err(_) => return Err(none("it does not answer".to_owned())),
        };
        Ok(Self { handle, sftp: Arc::new(sftp), extensions: version.extensions })
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// What `command` says on the other machine, when it may be run there and ends well.
    pub(super) async fn exec(&self, command: &str) -> Option<Vec<u8>> {
        let mut channel = self.handle.channel_open_session().await.ok()?;
        channel.exec(true, command).await.ok()?;
        let (mut said, mut status) = (Vec::new(), None);
        while let Some(message) = channel.wait().await {
            match message {
                russh::ChannelMsg::Data { data } if said.len() + data.len() <= 4096 => {
                    said.extend_from_slice(&data);
                }
                russh::ChannelMsg::Data { .. } | russh::ChannelMsg::Failure => return None,
                russh::ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
        (status == Some(0)).then_some(said)
    }
}

/// What is known of the machine, and the files that were looked in.
fn known(address: &Address, options: &Options) -> Result<(Vec<Entry>, Vec<PathBuf>), Error> {
    let mut entries = Vec::new();
    for (number, file) in options.known_hosts.iter().enumerate() {
        match fs::read_limited(file, limits::HAND_WRITTEN_BYTES) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                entries.extend(known::entries((number, &text), &address.known_as()));
            }
            Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(fs::Error::Io { path, source }) => return Err(Error::Io { path, source }),
            Err(_) => return Err(Error::TooLong { path: file.clone(), limit: limits::HAND_WRITTEN_BYTES }),
        }
    }
    Ok((entries, options.known_hosts.clone()))
}

fn refusal(address: &Address, seen: Seen, files: &[PathBuf]) -> Option<Error> {
    let host = address.known_as();
    let Seen { judgement, fingerprint, line } = seen;
    let file = |number: usize| files.get(number).cloned().unwrap_or_default();
    let changed = |at: At, host, fingerprint, revoked| {
        Some(Error::ChangedHost { host, fingerprint, file: file(at.file), line: at.line, revoked })
    };
    match judgement {
        Judgement::Known => None,
        Judgement::Unknown => {
            let line = format!("{host} {line}");
            Some(Error::UnknownHost { line, host, fingerprint, file: file(0) })
        }
        Judgement::Changed(at) => changed(at, host, fingerprint, false),
        Judgement::Revoked(at) => changed(at, host, fingerprint, true),
    }
}

/// Connects to the first of the machine's addresses that takes it.
async fn dial(address: &Address) -> Result<TcpStream, Error> {
    let link = |why: String| Error::Link { place: address.to_string(), why };
    let addresses: Vec<IpAddr> = match address.host.parse() {
        Ok(one) => vec![one],
        Err(_) => {
            let resolver = hickory_resolver::TokioResolver::builder_tokio()
                .and_then(hickory_resolver::ResolverBuilder::build)
                .map_err(|error| link(error.to_string()))?;
            let found = resolver.lookup_ip(address.host.as_str()).await;
            found.map_err(|error| link(error.to_string()))?.iter().collect()
        }
    };
    let mut why = "its name has no address".to_owned();
    for one in addresses {
        match TcpStream::connect(SocketAddr::new(one, address.port)).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(link(why))
}

/// Offers every key there is, one after the other.
async fn log_in(handle: &mut Handle<Judge>, address: &Address, options: &Options) -> Result<(), Error> {
    let link = |why: String| Error::Link { place: address.to_string(), why };
    let user =
        address.user.clone().or_else(|| environment::text("USER")).unwrap_or_else(|| "root".to_owned());
    let mut tried = Vec::new();
    for (key, name) in &options.keys {
        tried.push(name.clone());
        let key: Arc<PrivateKey> = Arc::clone(key);
        let answer = handle.authenticate_publickey(&user, PrivateKeyWithHashAlg::new(key, None)).await;
        if answer.map_err(|error| link(error.to_string()))?.success() {
            return Ok(());
        }
    }
    if let Some(socket) = &options.agent
        && let Ok(mut agent) = AgentClient::connect_uds(socket).await
    {
        for identity in agent.request_identities().await.unwrap_or_default() {
            let AgentIdentity::PublicKey { key, comment } = identity else { continue };
            tried.push(format!("{comment} (agent)"));
            // An agent that does not sign is one key less.
            if handle
                .authenticate_publickey_with(&user, key, None, &mut agent)
                .await
                .is_ok_and(|a| a.success())
            {
                return Ok(());
            }
            if handle.is_closed() {
                return Err(link("the connection broke".to_owned()));
            }
        }
    }
    Err(Error::Denied { place: address.to_string(), user, tried })
}
