//! Makes one HTTP exchange with a server, with TLS by this machine's certificates, proxies and time
//! limits. It follows no redirect and judges no status: `talk` does.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::proxy::Proxies;

/// Where docker keeps the certificates of single registries
/// (docs.docker.com/engine/security/certificates).
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time until there is a connection, TLS and proxies included.
    pub connect: Duration,
    /// The time of the whole exchange.
    pub whole: Duration,
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
    /// The form of a POST.
    pub form: Option<String>,
    /// How many bytes the answer may have at most.
    pub limit: u64,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// No connection.
    Connect {
        /// Why.
        why: String,
        /// Whether nothing listens there.
        refused: bool,
    },
    /// The server's certificate is not trusted, or its TLS is not safe.
    Tls(String),
    /// The server speaks another protocol.
    Foreign(String),
    /// The server closed the connection in the middle.
    Cut(String),
    /// The exchange took too long.
    Late,
    /// The answer has more bytes than a correct one could have.
    TooLong,
}

/// Makes exchanges with any number of servers, and keeps connections.
#[derive(Debug)]
pub struct Transport {
    proxies: Proxies,
    limits: Limits,
    certificates: Utf8PathBuf,
    roots: OnceLock<Arc<Vec<Certificate<'static>>>>,
    agents: Mutex<HashMap<(String, bool), ureq::Agent>>,
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
        }
    }

    /// Makes one exchange. `verify` says whether the certificate must be trusted. `limits` may be
    /// tighter than usual.
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
        let mut request = http::Request::builder()
            .method(ask.method.clone())
            .uri(&uri);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let answer = match &ask.form {
            None => send(&agent, request.body(()), limits),
            Some(form) => send(&agent, request.body(form.as_str()), limits),
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
        let body = if ask.method == http::Method::HEAD {
            Vec::new()
        } else {
            let body = body.into_with_config().limit(ask.limit).read_to_vec();
            body.map_err(|error| broken(&error))?
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
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
            .timeout_connect(Some(self.limits.connect))
            .timeout_global(Some(self.limits.whole))
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
    limits: Option<Limits>,
) -> Result<http::Response<ureq::Body>, Broken> {
    // This fails only if a header is not valid text, such as a login with a line end.
    let request =
        request.map_err(|_| Broken::Foreign("the request cannot be written".to_owned()))?;
    let answer = match limits {
        None => agent.run(request),
        Some(limits) => {
            let request = agent
                .configure_request(request)
                .timeout_connect(Some(limits.connect))
                .timeout_global(Some(limits.whole))
                .build();
            agent.run(request)
        }
    };
    answer.map_err(|error| broken(&error))
}

fn broken(error: &ureq::Error) -> Broken {
    match error {
        ureq::Error::Timeout(_) => Broken::Late,
        ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => Broken::TooLong,
        ureq::Error::HostNotFound => Broken::Connect {
            why: "its name is not known here".to_owned(),
            refused: false,
        },
        ureq::Error::ConnectProxyFailed(why) => Broken::Connect {
            why: format!("the proxy refuses ({})", crate::text::short(why)),
            refused: false,
        },
        ureq::Error::Rustls(error) => tls(error),
        ureq::Error::Io(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            inner.map_or_else(|| of_socket(error), tls)
        }
        ureq::Error::ConnectionFailed => Broken::Connect {
            why: "no connection".to_owned(),
            refused: false,
        },
        other => {
            let why = crate::text::short(&other.to_string());
            Broken::Foreign(format!("it does not speak HTTP as it should ({why})"))
        }
    }
}

fn of_socket(error: &std::io::Error) -> Broken {
    match error.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Broken::Cut(error.to_string().to_lowercase()),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Broken::Late,
        kind => {
            let source = error
                .source()
                .map_or_else(String::new, |why| format!(": {why}"));
            Broken::Connect {
                why: format!("{}{source}", error.to_string().to_lowercase()),
                refused: kind == ErrorKind::ConnectionRefused,
            }
        }
    }
}

fn tls(error: &rustls::Error) -> Broken {
    use rustls::{CertificateError as Bad, Error};
    match error {
        Error::InvalidMessage(_) => Broken::Foreign("it does not speak TLS".to_owned()),
        Error::InvalidCertificate(bad) => Broken::Tls(match bad {
            Bad::UnknownIssuer => {
                "its certificate is signed by an authority that this machine does not trust"
                    .to_owned()
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "its certificate is out of date".to_owned()
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet; is this machine's clock right?".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            other => format!("its certificate is not accepted ({other})"),
        }),
        other => Broken::Tls(format!("no safe connection ({other})")),
    }
}
