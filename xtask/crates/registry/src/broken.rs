//! What the HTTP library's errors mean: why an exchange with a server has no answer.

use std::error::Error as _;
use std::io::ErrorKind;

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
    /// What was to be sent cannot be read on this machine.
    Source(String),
}

/// Why an exchange failed.
pub fn of(error: &ureq::Error) -> Broken {
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
        ureq::Error::Io(error) => of_read(error),
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

/// Why a body that is read piece by piece broke off.
pub fn of_read(error: &std::io::Error) -> Broken {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return of(error);
    }
    let inner = inner.and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| of_socket(error), tls)
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
