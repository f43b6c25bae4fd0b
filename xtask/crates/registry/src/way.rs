//! Brings one question to a server: tries the allowed ways to contact it and follows redirects.

use std::time::Duration;

use ureq::http::Method;

use super::broken::Broken;
use super::endpoint::{self, Endpoint, Trust};
use super::error::Trouble;
use super::talk::{Place, Question};
use super::text::{host_of, resolve, short};
use super::transport::{Answer, Ask, Limits};
use super::{Registries, net};

/// How many redirects are followed at most.
const REDIRECTS: usize = 5;
/// How long a second way is tried on this machine. A server that does not know TLS may never
/// answer.
const PROBE: Duration = Duration::from_secs(2);

/// One way to contact a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    scheme: &'static str,
    verify: bool,
}

const TLS: Way = Way {
    scheme: "https",
    verify: true,
};
const TLS_AS_IT_IS: Way = Way {
    scheme: "https",
    verify: false,
};
const PLAIN: Way = Way {
    scheme: "http",
    verify: false,
};

fn ways(endpoint: &Endpoint) -> &'static [Way] {
    let (_, port) = net::split_port(&endpoint.host);
    match (endpoint.trust, port) {
        (Trust::Verified, _) => &[TLS],
        (Trust::Loopback, Some(443)) => &[TLS, PLAIN],
        (Trust::Loopback, _) => &[PLAIN, TLS],
        (Trust::Insecure, _) => &[TLS_AS_IT_IS, PLAIN],
    }
}

impl Registries {
    /// One exchange with the server, redirects included. It uses the way in which the server is
    /// known to listen, or else tries all allowed ways.
    pub(super) fn speak(
        &self,
        endpoint: &Endpoint,
        question: &Question<'_>,
    ) -> Result<Answer, Trouble> {
        let path = match question.place {
            Place::Below(path) => path,
            Place::Address(url) => {
                let way = self.way(endpoint);
                let answer = self.elsewhere(endpoint, way, question, url)?;
                return self.followed(endpoint, way, question, url.to_owned(), answer);
            }
        };
        let known = || crate::locked(&self.ways);
        let way = known().get(&endpoint.host).copied();
        let ways = way
            .as_ref()
            .map_or_else(|| ways(endpoint), std::slice::from_ref);
        let mut first = None;
        for (at, way) in ways.iter().enumerate() {
            let is_last = at + 1 == ways.len();
            let probe = at > 0 && endpoint.trust == Trust::Loopback;
            let url = format!("{}://{}{path}", way.scheme, endpoint.host);
            let told = self.in_one_way(*way, question, &url, probe);
            let go_on = !is_last && may_listen_otherwise(endpoint, *way, &told);
            match told {
                Ok(answer) if !go_on => {
                    known().insert(endpoint.host.clone(), *way);
                    return self.followed(endpoint, *way, question, url, answer);
                }
                Err(Broken::Tls(why)) if !go_on => return Err(Trouble::Tls(why)),
                told => {
                    first.get_or_insert(told);
                }
            }
            if !go_on {
                break;
            }
        }
        match first {
            Some(Ok(answer)) => Ok(answer),
            // On this machine, a server that does not listen now will not listen a little later.
            Some(Err(Broken::Connect { why, refused })) => Err(Trouble::Unreachable {
                why,
                refused: refused && endpoint.trust == Trust::Loopback,
            }),
            Some(Err(broken)) => Err(trouble(broken)),
            None => Err(Trouble::Useless(
                "there is no way to speak to it".to_owned(),
            )),
        }
    }

    /// The address that a `Location` header of the server means. A proxy with TLS in front of a
    /// registry that does not know of it lets the registry name itself without TLS.
    pub(super) fn place(&self, endpoint: &Endpoint, location: &str) -> Option<String> {
        let way = self.way(endpoint);
        let place = resolve(&format!("{}://{}/", way.scheme, endpoint.host), location)?;
        match place.strip_prefix("http://") {
            Some(rest) if host_of(&place).as_deref() == Some(&endpoint.host) => {
                Some(format!("{}://{rest}", way.scheme))
            }
            _ => Some(place),
        }
    }

    /// The way in which the server is known to listen, or the first one to try.
    fn way(&self, endpoint: &Endpoint) -> Way {
        let known = crate::locked(&self.ways).get(&endpoint.host).copied();
        known
            .or_else(|| ways(endpoint).first().copied())
            .unwrap_or(TLS)
    }

    fn in_one_way(
        &self,
        way: Way,
        question: &Question<'_>,
        url: &str,
        probe: bool,
    ) -> Result<Answer, Broken> {
        let limits = question.limits.unwrap_or_else(|| self.patience.limits());
        let limits = Limits {
            connect: if probe {
                limits.connect.min(PROBE)
            } else {
                limits.connect
            },
            ..limits
        };
        self.transport.exchange(
            &Ask {
                method: question.method.clone(),
                url,
                headers: question.headers.clone(),
                body: question.body.clone(),
                take: question.take,
            },
            way.verify,
            Some(limits),
        )
    }

    /// Follows redirects, as bodies are often on another server.
    fn followed(
        &self,
        endpoint: &Endpoint,
        way: Way,
        question: &Question<'_>,
        mut url: String,
        mut answer: Answer,
    ) -> Result<Answer, Trouble> {
        let reads = matches!(question.method, Method::GET | Method::HEAD);
        for _ in 0..REDIRECTS {
            match answer.status {
                307 | 308 => {}
                301..=303 if reads => {}
                // These turn a request that writes into one that reads (RFC 9110, 15.4).
                status @ 301..=303 => {
                    return Err(Trouble::Useless(format!(
                        "it redirects what should be stored, with status {status}"
                    )));
                }
                _ => return Ok(answer),
            }
            let place = answer.header("location").and_then(|to| resolve(&url, to));
            let Some(place) = place else {
                return Err(Trouble::Useless(
                    "it redirects without a valid address".to_owned(),
                ));
            };
            answer = self.elsewhere(endpoint, way, question, &place)?;
            url = place;
        }
        Err(Trouble::Useless("it redirects too often".to_owned()))
    }

    /// One exchange at an address that the server named. The proof of the right to read or write
    /// goes only to the same server.
    fn elsewhere(
        &self,
        endpoint: &Endpoint,
        way: Way,
        question: &Question<'_>,
        place: &str,
    ) -> Result<Answer, Trouble> {
        let host = host_of(place).unwrap_or_default();
        let trust = endpoint::at(&host, self.settings()).trust;
        if !place.starts_with("https://") && trust == Trust::Verified {
            let host = short(&host);
            return Err(Trouble::Useless(format!(
                "it redirects to {host}, which does not speak TLS"
            )));
        }
        let same = host == endpoint.host && place.starts_with(way.scheme);
        let headers = question.headers.iter();
        let headers = headers.filter(|(name, _)| same || *name != "authorization");
        let ask = Ask {
            method: question.method.clone(),
            url: place,
            headers: headers.cloned().collect(),
            body: question.body.clone(),
            take: question.take,
        };
        let answer = self
            .transport
            .exchange(&ask, trust != Trust::Insecure, question.limits);
        answer.map_err(|broken| {
            if same {
                trouble(broken)
            } else {
                of_server(trouble(broken), &host)
            }
        })
    }
}

/// Whether the result of one way suggests that the server listens in another.
fn may_listen_otherwise(endpoint: &Endpoint, way: Way, told: &Result<Answer, Broken>) -> bool {
    match told {
        // Servers of Go and nginx answer plain HTTP at a port for TLS with this status.
        Ok(answer) => way == PLAIN && answer.status == 400,
        Err(Broken::Foreign(_) | Broken::Cut(_)) => true,
        Err(Broken::Connect { .. } | Broken::Tls(_)) => endpoint.trust == Trust::Insecure,
        Err(Broken::Late | Broken::TooLong | Broken::Source(_)) => false,
    }
}

/// What it means for the question that there is no answer.
pub fn trouble(broken: Broken) -> Trouble {
    let unreachable = |why: String| Trouble::Unreachable {
        why,
        refused: false,
    };
    match broken {
        Broken::Connect { why, .. } => unreachable(why),
        Broken::Cut(why) => unreachable(format!("it closes the connection in the middle ({why})")),
        Broken::Late => unreachable("it does not answer in time".to_owned()),
        Broken::Tls(why) => Trouble::Tls(why),
        Broken::Foreign(why) => Trouble::Wrong(why),
        Broken::TooLong => Trouble::Useless("it is too long".to_owned()),
        Broken::Source(why) => Trouble::Source(why),
    }
}

/// Names the server that should have sent a token or a body, if it is not the registry itself.
pub fn of_server(trouble: Trouble, host: &str) -> Trouble {
    let host = short(host);
    match trouble {
        Trouble::Unreachable { why, .. } => Trouble::Unreachable {
            why: format!("it needs {host}: {why}"),
            refused: false,
        },
        Trouble::Tls(why) => Trouble::Tls(format!("it needs {host}: {why}")),
        other => other,
    }
}
