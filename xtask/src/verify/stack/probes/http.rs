//! The probe for a service's HTTP answer.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use super::answer::HttpAnswer;
use super::stream::NoStream;
use super::{Ground, ProbeVerdict, shortened};
use crate::graphfile::spec::stack::Http;

/// The longest time for one attempt, so that a program that hangs once is asked again.
const ATTEMPT: Duration = Duration::from_secs(15);

impl Ground<'_> {
    pub(super) fn http(&self, service: &str, http: &Http, until: Instant) -> ProbeVerdict {
        let path = &http.path;
        // What was wrong with the last answer, in case the time ends during another attempt.
        let mut before = None;
        self.until_it_works(until, || {
            let container = match self.container(service) {
                Ok(container) => container,
                Err(verdict) => return Ok(verdict),
            };
            let end = until.min(Instant::now() + ATTEMPT);
            let mut stream = match self.connect(service, &container, http.port, end) {
                Ok(stream) => stream,
                Err(NoStream::Refused) => {
                    return Err(self.nothing_listens(service, &container, http.port));
                }
                Err(NoStream::NoWay(verdict)) => return Ok(verdict),
            };
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: xtask-verify\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                http.port
            );
            let answer = stream
                .write_all(request.as_bytes())
                .and_then(|()| stream.flush())
                .and_then(|()| HttpAnswer::read(stream, true));
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if is_gone(error.kind()) => {
                    return Err(self.nothing_listens(service, &container, http.port));
                }
                Err(error) => {
                    let late = format!("GET {path} at port {}: {error}", http.port);
                    return Err(before.take().unwrap_or(late));
                }
            };
            match wrong(http, &answer) {
                Some(wrong) => {
                    let wrong = format!("GET {path} at port {}: {wrong}", http.port);
                    before = Some(wrong.clone());
                    Err(wrong)
                }
                None => Ok(ProbeVerdict::passed(format!("GET {path} gives {}", answer.status))),
            }
        })
    }
}

/// Whether an error means that nothing listens: the engine's proxy accepts a connection before it
/// knows that.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    )
}

/// The part of an answer that is not as the graph file wants it.
fn wrong(http: &Http, answer: &HttpAnswer) -> Option<String> {
    let body = String::from_utf8_lossy(&answer.body);
    let shown = || match shortened(body.get(..2000).unwrap_or(&body)) {
        text if text.is_empty() => "the answer is empty".to_owned(),
        text => format!("the answer is: {text}"),
    };
    if answer.status != http.status {
        return Some(format!(
            "status {}, not {}; {}",
            answer.status,
            http.status,
            shown()
        ));
    }
    for (name, wanted) in &http.headers {
        match answer.header(name) {
            None => return Some(format!("the answer has no header `{name}`")),
            Some(value) if !value.contains(wanted.as_str()) => {
                return Some(format!(
                    "the header `{name}` is {value:?}, without {wanted:?}"
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(wanted) = http
        .body
        .as_ref()
        .filter(|wanted| !body.contains(wanted.as_str()))
    {
        return Some(format!(
            "the answer does not contain {wanted:?}; {}",
            shown()
        ));
    }
    if http.json.is_empty() {
        return None;
    }
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        return Some(format!("the answer is not JSON; {}", shown()));
    };
    for (path, wanted) in &http.json {
        match json.pointer(path) {
            None => return Some(format!("the answer's JSON has no {path}; {}", shown())),
            Some(value) if !is_same(value, wanted) => {
                return Some(format!(
                    "{path} of the answer's JSON is {value}, not {wanted}"
                ));
            }
            Some(_) => {}
        }
    }
    None
}

/// Whether two values are equal. 1 and 1.0 are the same number.
fn is_same(value: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    value == wanted || value.is_number() && value.as_f64() == wanted.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn of(http: Http) -> Option<String> {
        let answer = HttpAnswer {
            status: 200,
            headers: vec![(
                "content-type".into(),
                "application/json; charset=utf-8".into(),
            )],
            body: br#"{"status":"ok","n":1.0,"list":[{"a":true}]}"#.to_vec(),
        };
        wrong(&http, &answer)
    }

    fn plain() -> Http {
        Http {
            port: 80,
            path: "/".into(),
            status: 200,
            headers: BTreeMap::new(),
            body: None,
            json: BTreeMap::new(),
        }
    }

    #[test]
    fn an_answer_is_held_against_all_that_is_wanted() {
        let text = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let json = |path: &str, value| Http {
            json: BTreeMap::from([(path.to_owned(), value)]),
            ..plain()
        };
        for good in [
            plain(),
            Http {
                headers: text(&[("content-type", "application/json")]),
                ..plain()
            },
            Http {
                body: Some("\"ok\"".into()),
                ..plain()
            },
            json("/status", json!("ok")),
            json("/n", json!(1)),
            json("/list/0/a", json!(true)),
        ] {
            assert_eq!(of(good), None);
        }
        for (bad, said) in [
            (
                Http {
                    status: 204,
                    ..plain()
                },
                "status 200, not 204",
            ),
            (
                Http {
                    headers: text(&[("x", "y")]),
                    ..plain()
                },
                "has no header `x`",
            ),
            (
                Http {
                    headers: text(&[("content-type", "html")]),
                    ..plain()
                },
                "without \"html\"",
            ),
            (
                Http {
                    body: Some("nope".into()),
                    ..plain()
                },
                "does not contain \"nope\"",
            ),
            (json("/state", json!("ok")), "has no /state"),
            (
                json("/status", json!("bad")),
                "/status of the answer's JSON is \"ok\", not \"bad\"",
            ),
        ] {
            let wrong = of(bad).unwrap();
            assert!(wrong.contains(said), "{wrong}");
        }
    }
}
