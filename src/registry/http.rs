//! The one HTTP client builder: which roots hold, which proxies are used, and what its faults mean.
//!
//! HTTP/1.1 only: registries gain nothing from HTTP/2 with large bodies, and one connection a transfer spreads over cores.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use url::Url;

use super::hosts::{authority, loops_back};
use super::retry::Failure;
use super::{Error, Options, Proxies};

/// The longest wait for a connection to open.
const CONNECT: Duration = Duration::from_secs(30);

/// Two clients that differ in proxies alone.
pub(super) struct Http {
    direct: reqwest::Client,
    through: reqwest::Client,
    settings: Arc<Settings>,
}

/// What clients are made of.
struct Settings {
    tls: ClientConfig,
    connect: Duration,
    proxies: Proxies,
}

impl Http {
    /// Reads the roots and sets both clients up.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let (tls, connect) = (tls(options)?, options.stall.min(CONNECT));
        Self::of(Arc::new(Settings { tls, connect, proxies: options.proxies.clone() }))
    }

    /// The same once more, with connections of its own.
    pub(super) fn another(&self) -> Result<Self, Error> {
        Self::of(Arc::clone(&self.settings))
    }

    fn of(settings: Arc<Settings>) -> Result<Self, Error> {
        let proxies = &settings.proxies;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(settings.tls.clone())
                .http1_only()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(concat!("bundle/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(settings.connect)
                .no_proxy()
        };
        // A proxy URL can hold a password: what reqwest says of it is not repeated.
        let refused = |name: &str| Error::Setup { why: format!("the {name} proxy setting is not a URL") };
        let except = || reqwest::NoProxy::from_string(&proxies.except);
        let mut through = builder();
        if let Some(proxy) = &proxies.http {
            let proxy = reqwest::Proxy::http(proxy.as_str()).map_err(|_| refused("HTTP"))?;
            through = through.proxy(proxy.no_proxy(except()));
        }
        if let Some(proxy) = &proxies.https {
            let proxy = reqwest::Proxy::https(proxy.as_str()).map_err(|_| refused("HTTPS"))?;
            through = through.proxy(proxy.no_proxy(except()));
        }
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| Error::Setup { why: deepest(&error.without_url()) })
        };
        let direct = build(builder())?;
        let through = build(through)?;
        Ok(Self { direct, through, settings })
    }

    /// The client for `url`: hosts of this machine are never called through a proxy.
    pub(super) fn client(&self, url: &Url) -> &reqwest::Client {
        if loops_back(url) { &self.direct } else { &self.through }
    }
}

/// Mozilla's roots, the system's where it has any, and the user's own.
fn tls(options: &Options) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A machine without a system store is no fault: the other roots hold.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in &options.ca_files {
        let fault = |why: String| Error::CaFile { path: path.clone(), why };
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))? {
            let certificate = certificate.map_err(|e| fault(e.to_string()))?;
            roots.add(certificate).map_err(|e| fault(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(fault("it holds no certificate".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setup { why: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What went wrong below HTTP.
pub(super) enum Fault {
    /// The other side speaks the other scheme.
    WrongScheme(Failure),
    /// Anything else.
    Other(Failure),
}

impl Fault {
    /// As a failure, whatever it is.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::WrongScheme(failure) | Self::Other(failure) => failure,
        }
    }
}

/// Sorts a fault of calling `url`. TLS verdicts stand; connections that break may pass.
pub(super) fn fault(error: reqwest::Error, url: &Url) -> Fault {
    let error = error.without_url();
    let host = authority(url);
    let why = deepest(&error);
    match tls_fault(&error) {
        Some(rustls::Error::InvalidMessage(_)) => {
            Fault::WrongScheme(Error::Tls { host, why: "it does not speak TLS".into() }.into())
        }
        Some(tls) => Fault::Other(Error::Tls { host, why: out_of_time(tls).unwrap_or(why) }.into()),
        None if why.contains("tls handshake eof") || why.contains("invalid HTTP") => {
            Fault::WrongScheme(Failure::passing(Error::Unreachable { host, why }))
        }
        // The resolver's word for it names its own query types, and is no text for people.
        None if why.contains("no records found") => Fault::Other(Failure::passing(Error::NoAddress { host })),
        None if error.is_connect() => Fault::Other(Failure::passing(Error::Unreachable { host, why })),
        None => Fault::Other(Failure::passing(Error::Broken { host, why })),
    }
}

/// A certificate out of its time, with dates that can be compared; `None` for any other verdict.
fn out_of_time(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(verdict) = error else { return None };
    let date = |time: &rustls::pki_types::UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok()?;
        Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
    };
    match verdict {
        CertificateError::ExpiredContext { time, not_after } => Some(format!(
            "its certificate expired on {}; this machine's clock says {}",
            date(not_after)?,
            date(time)?
        )),
        CertificateError::NotValidYetContext { time, not_before } => Some(format!(
            "its certificate holds only from {}; this machine's clock says {}",
            date(not_before)?,
            date(time)?
        )),
        _ => None,
    }
}

fn tls_fault(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error hides what it wraps from `source`, and shows it through `get_ref`.
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

/// The deepest cause, in one line.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    super::answer::clean(&cause.to_string())
}
