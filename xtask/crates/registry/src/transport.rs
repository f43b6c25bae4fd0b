//! Makes one HTTP exchange with a server, with TLS by this machine's certificates, proxies and time
//! limits. It follows no redirect and judges no status: `talk` does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::body::Body;
use super::broken::{self, Broken};
use super::proxy::Proxies;

/// Where docker keeps the certificates of single registries
/// (docs.docker.com/engine/security/certificates).
const CERTIFICATES: &str = "/etc/docker/certs.d";
/// Longer than any registry's list of errors, in bytes.
const ERRORS: u64 = 1 << 20;

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time until there is a connection, TLS and proxies included.
    pub connect: Duration,
    /// The time of what follows.
    pub rest: Rest,
}

/// How long an exchange may take once there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The time of the whole exchange, connection included.
    Whole(Duration),
    /// The time of each single write and read, for bodies of any size: a slow body may take long,
    /// a stalled one may not.
    Each {
        /// The time of a write.
        write: Duration,
        /// The time of a read. The first one waits until the server has used all that was sent.
        read: Duration,
    },
}

/// What becomes of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It is read. That of a success has at most so many bytes.
    Whole(u64),
    /// If the status is a success, it is left to be read piece by piece.
    Pieces,
}

/// A request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: http::Method,
    /// The whole address.
    pub url: &'a str,
    /// Headers. Nothing here shows those that carry a login.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Body<'a>,
    /// What becomes of the answer's body.
    pub take: Take,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The whole body. It is empty if the body is left to be read.
    pub body: Vec<u8>,
    /// The body that is left to be read.
    pub coming: Option<ureq::Body>,
}

impl Answer {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Makes exchanges with any number of servers, and keeps connections.
#[derive(Debug)]
pub struct Transport {
    proxies: Proxies,
    limits: Limits,
    certificates: Utf8PathBuf,
    roots: OnceLock<Arc<Vec<Certificate<'static>>>>,
    agents: Mutex<HashMap<(String, bool), ureq::Agent>>,
    begun: AtomicU64,
}

impl Transport {
    /// Opens nothing: the first exchange with a server does.
    pub fn new(limits: Limits) -> Self {
        Self {
            proxies: Proxies::read(|name| std::env::var(name).ok()),
            limits,
            certificates: CERTIFICATES.into(),
            roots: OnceLock::new(),
            agents: Mutex::default(),
            begun: AtomicU64::new(0),
        }
    }

    /// How many exchanges were begun, with or without an answer.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Makes one exchange. `verify` says whether the certificate must be trusted. `limits` may be
    /// other than usual.
    pub fn exchange(
        &self,
        ask: &Ask<'_>,
        verify: bool,
        limits: Option<Limits>,
    ) -> Result<Answer, Broken> {
        let uri: http::Uri = ask
            .url
            .parse()
            .map_err(|_| Broken::Foreign("it names an address that is not valid".to_owned()))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(Broken::Foreign(
                "it names an address that is not valid".to_owned(),
            ));
        };
        let agent = self.agent(scheme, authority.as_str(), verify)?;
        let limits = limits.unwrap_or(self.limits);
        let mut request = http::Request::builder()
            .method(ask.method.clone())
            .uri(&uri);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        let answer = match &ask.body {
            Body::None => send(&agent, request.body(()), limits),
            Body::Bytes(bytes) => send(&agent, request.body(bytes.as_ref()), limits),
            Body::Source(source) => {
                let mut reading = source.open().map_err(Broken::Source)?;
                let request = request.header("content-length", source.size);
                let body = ureq::SendBody::from_reader(&mut reading);
                let answer = send(&agent, request.body(body), limits);
                // If the source fails, the library says only that the request broke off.
                match reading.trouble() {
                    Some(why) => Err(Broken::Source(why)),
                    None => answer,
                }
            }
        };
        // If a proxy refuses the connection, that says nothing about the server.
        let direct = agent.config().proxy().is_none();
        let answer = answer.map_err(|broken| match broken {
            Broken::Connect { why, refused } => Broken::Connect {
                why: if direct {
                    why
                } else {
                    format!("through the proxy: {why}")
                },
                refused: refused && direct,
            },
            other => other,
        })?;
        let (parts, body) = answer.into_parts();
        let (body, coming) = match ask.take {
            _ if ask.method == http::Method::HEAD => (Vec::new(), None),
            Take::Pieces if parts.status.is_success() => (Vec::new(), Some(body)),
            take => {
                // A small limit is for what was asked for. The reason for a refusal may be longer.
                let limit = match take {
                    Take::Whole(limit) if parts.status.is_success() => limit,
                    Take::Whole(limit) => limit.max(ERRORS),
                    Take::Pieces => ERRORS,
                };
                let body = body.into_with_config().limit(limit).read_to_vec();
                (body.map_err(|error| broken::of(&error))?, None)
            }
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            coming,
        })
    }

    fn agent(&self, scheme: &str, authority: &str, verify: bool) -> Result<ureq::Agent, Broken> {
        let lock = || crate::locked(&self.agents);
        let key = (format!("{scheme}://{authority}"), verify);
        if let Some(agent) = lock().get(&key) {
            return Ok(agent.clone());
        }
        let mut tls = TlsConfig::builder()
            .disable_verification(!verify)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        if scheme == "https" && verify {
            tls = tls.root_certs(RootCerts::Specific(self.roots_for(authority)?));
        } else {
            // Without verification, no root certificates are needed.
            tls = tls.root_certs(RootCerts::Specific(Arc::default()));
        }
        let proxy = match self.proxies.of(scheme, authority) {
            None => None,
            Some(address) => Some(ureq::Proxy::new(address).map_err(|_| Broken::Connect {
                why: "the proxy that the environment names has no address that can be used".into(),
                refused: false,
            })?),
        };
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = config.new_agent();
        lock().insert(key, agent.clone());
        Ok(agent)
    }

    /// This machine's certificates, and those that docker has for this server.
    fn roots_for(&self, authority: &str) -> Result<Arc<Vec<Certificate<'static>>>, Broken> {
        let roots = self.roots.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let owned = |der: &[u8]| Certificate::from_der(der).to_owned();
            Arc::new(found.certs.iter().map(|der| owned(der)).collect())
        });
        let own = of_server(&self.certificates, authority);
        if own.is_empty() {
            if roots.is_empty() {
                return Err(Broken::Tls(
                    "this machine has no certificates to check it by (ca-certificates, SSL_CERT_FILE)"
                        .to_owned(),
                ));
            }
            return Ok(Arc::clone(roots));
        }
        Ok(Arc::new(roots.iter().cloned().chain(own).collect()))
    }
}

/// The certificates in the `*.crt` files of a server's folder.
fn of_server(certificates: &Utf8Path, authority: &str) -> Vec<Certificate<'static>> {
    let Ok(folder) = certificates.join(authority).read_dir_utf8() else {
        return Vec::new();
    };
    let files = folder
        .flatten()
        .filter(|entry| entry.path().extension() == Some("crt"));
    let texts = files.filter_map(|entry| std::fs::read(entry.path()).ok());
    texts
        .flat_map(|text| parse_pem(&text).flatten().collect::<Vec<_>>())
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect()
}

fn send<B: ureq::AsSendBody>(
    agent: &ureq::Agent,
    request: Result<http::Request<B>, http::Error>,
    limits: Limits,
) -> Result<http::Response<ureq::Body>, Broken> {
    // This fails only if a header is not valid text, such as a login with a line end.
    let request =
        request.map_err(|_| Broken::Foreign("the request cannot be written".to_owned()))?;
    let (whole, write, read) = match limits.rest {
        Rest::Whole(whole) => (Some(whole), None, None),
        Rest::Each { write, read } => (None, Some(write), Some(read)),
    };
    let request = agent
        .configure_request(request)
        .timeout_connect(Some(limits.connect))
        .timeout_global(whole)
        .timeout_per_write(write)
        .timeout_per_read(read)
        .build();
    agent.run(request).map_err(|error| broken::of(&error))
}
