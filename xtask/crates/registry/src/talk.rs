//! Asks one server one question: tries the allowed ways to contact it, meets challenges, follows
//! redirects, and tells what each status means. `patience` decides on further attempts.

use std::time::Duration;

use ureq::http::Method;

use super::endpoint::{self, Endpoint, Trust};
use super::error::Trouble;
use super::text::{host_of, resolve, says, short, wait_of};
use super::transport::{Answer, Ask, Broken, Limits};
use super::{Effort, Registries, challenge, manifest, net, pass};
use reference::Reference;

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

/// A question.
struct Question<'a> {
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    limit: u64,
    limits: Option<Limits>,
}

impl Registries {
    /// Like `ask_once`, repeated after a fault that may pass.
    pub(super) fn ask(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        method: Method,
        path: &str,
        limit: u64,
    ) -> Result<Answer, Trouble> {
        self.persist(&endpoint.host, effort, || {
            self.ask_once(reference, endpoint, effort, method.clone(), path, limit)
        })
    }

    /// Asks for `path` below the reference's repository.
    pub(super) fn ask_once(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        method: Method,
        path: &str,
        limit: u64,
    ) -> Result<Answer, Trouble> {
        let repository = &reference.repository;
        let key = (endpoint.host.clone(), repository.clone());
        let passes = || crate::locked(&self.passes);
        let mut question = Question {
            method,
            path: &format!("/v2/{repository}/{path}"),
            headers: vec![("accept", manifest::ACCEPT.to_owned())],
            limit,
            limits: (effort == Effort::Brief).then(|| self.patience.brief()),
        };
        let known = passes().get(&key).cloned();
        question
            .headers
            .extend(known.map(|pass| ("authorization", pass)));
        let answer = self.speak(endpoint, &question)?;
        if answer.status != 401 {
            return self.judged(endpoint, answer);
        }
        let pass = self.pass(endpoint, repository, &answer, question.limits)?;
        passes().insert(key, pass.clone());
        question
            .headers
            .retain(|(name, _)| *name != "authorization");
        question.headers.push(("authorization", pass));
        let answer = self.speak(endpoint, &question)?;
        self.judged(endpoint, answer)
    }

    /// The header's value that meets the challenge of `refusal`.
    fn pass(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        refusal: &Answer,
        limits: Option<Limits>,
    ) -> Result<String, Trouble> {
        let headers = refusal.headers.get_all("www-authenticate").iter();
        let challenge = challenge::read(headers.filter_map(|header| header.to_str().ok()));
        let challenge = challenge.ok_or_else(|| self.refused(endpoint, refusal.status))?;
        let known = self.keyring().of(&endpoint.host);
        let trust = |host: &str| endpoint::at(host, self.settings()).trust;
        let mut url = String::new();
        let next = pass::next(&challenge, &known, repository, &mut url, trust);
        let ask = match next.map_err(Trouble::Useless)? {
            None => return Err(self.refused(endpoint, refusal.status)),
            Some(pass::Next::Header(header)) => return Ok(header),
            Some(pass::Next::Token(ask)) => ask,
        };
        let host = host_of(ask.url).unwrap_or_default();
        let verify = trust(&host) != Trust::Insecure;
        let answer = self.transport.exchange(&ask, verify, limits);
        let answer = answer.map_err(|broken| of_server(trouble(broken), &host))?;
        let answer = self.judged(endpoint, answer)?;
        pass::of_answer(&answer).map_err(Trouble::Useless)
    }

    /// One exchange with the server, redirects included. It uses the way in which the server is
    /// known to listen, or else tries all allowed ways.
    fn speak(&self, endpoint: &Endpoint, question: &Question<'_>) -> Result<Answer, Trouble> {
        let known = || crate::locked(&self.ways);
        let way = known().get(&endpoint.host).copied();
        let ways = way
            .as_ref()
            .map_or_else(|| ways(endpoint), std::slice::from_ref);
        let mut first = None;
        for (at, way) in ways.iter().enumerate() {
            let is_last = at + 1 == ways.len();
            let probe = at > 0 && endpoint.trust == Trust::Loopback;
            let told = self.in_one_way(endpoint, *way, question, probe);
            let go_on = !is_last && may_listen_otherwise(endpoint, *way, &told);
            match told {
                Ok(answer) if !go_on => {
                    known().insert(endpoint.host.clone(), *way);
                    return self.followed(endpoint, *way, question, answer);
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

    fn in_one_way(
        &self,
        endpoint: &Endpoint,
        way: Way,
        question: &Question<'_>,
        probe: bool,
    ) -> Result<Answer, Broken> {
        let url = format!("{}://{}{}", way.scheme, endpoint.host, question.path);
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
                url: &url,
                headers: question.headers.clone(),
                form: None,
                limit: question.limit,
            },
            way.verify,
            Some(limits),
        )
    }

    /// Follows redirects, as bodies are often on another server. The proof of the right to read
    /// goes only to the same server.
    fn followed(
        &self,
        endpoint: &Endpoint,
        way: Way,
        question: &Question<'_>,
        mut answer: Answer,
    ) -> Result<Answer, Trouble> {
        let mut url = format!("{}://{}{}", way.scheme, endpoint.host, question.path);
        for _ in 0..REDIRECTS {
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let place = answer.header("location").and_then(|to| resolve(&url, to));
            let Some(place) = place else {
                return Err(Trouble::Useless(
                    "it redirects without a valid address".to_owned(),
                ));
            };
            let host = host_of(&place).unwrap_or_default();
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
                url: &place,
                headers: headers.cloned().collect(),
                form: None,
                limit: question.limit,
            };
            let next = self
                .transport
                .exchange(&ask, trust != Trust::Insecure, question.limits);
            answer = next.map_err(|broken| of_server(trouble(broken), &host))?;
            url = place;
        }
        Err(Trouble::Useless("it redirects too often".to_owned()))
    }

    /// The answer if it has what was asked for, else the meaning of its status.
    fn judged(&self, endpoint: &Endpoint, answer: Answer) -> Result<Answer, Trouble> {
        let wait = answer.header("retry-after").and_then(wait_of);
        match answer.status {
            200 => Ok(answer),
            status @ (401 | 403) => Err(self.refused(endpoint, status)),
            404 => Err(Trouble::Missing),
            429 => Err(Trouble::TooMany { wait }),
            status => Err(Trouble::Status {
                status,
                says: says(&answer.body),
                wait,
            }),
        }
    }

    fn refused(&self, endpoint: &Endpoint, status: u16) -> Trouble {
        let known = self.keyring().of(&endpoint.host);
        Trouble::Refused {
            status,
            logged_in: known.login.is_some(),
            keyring: known.trouble,
        }
    }
}

/// Whether the result of one way suggests that the server listens in another.
fn may_listen_otherwise(endpoint: &Endpoint, way: Way, told: &Result<Answer, Broken>) -> bool {
    match told {
        // Servers of Go and nginx answer plain HTTP at a port for TLS with this status.
        Ok(answer) => way == PLAIN && answer.status == 400,
        Err(Broken::Foreign(_) | Broken::Cut(_)) => true,
        Err(Broken::Connect { .. } | Broken::Tls(_)) => endpoint.trust == Trust::Insecure,
        Err(Broken::Late | Broken::TooLong) => false,
    }
}

fn trouble(broken: Broken) -> Trouble {
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
    }
}

/// Names the server that should have sent a token or a body, if it is not the registry itself.
fn of_server(trouble: Trouble, host: &str) -> Trouble {
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
