//! Which hosts that the graph needs answer, and why others do not.
//!
//! The reason is read from git's message (libcurl's error texts), so that an unknown name, a
//! proxy's failure and a bad certificate are told apart.

use std::collections::BTreeSet;

use super::facts::{Host, Reach};
use super::finding::MachineFinding;

/// One finding for each group of hosts that can replace each other.
pub fn check(hosts: &[(Host, Reach)]) -> Vec<MachineFinding> {
    let groups: BTreeSet<&String> = hosts.iter().map(|(host, _)| &host.group).collect();
    let finding = |group| {
        let those: Vec<_> = hosts
            .iter()
            .filter(|(host, _)| &host.group == group)
            .collect();
        let answers = those.iter().find(|(_, reach)| *reach == Reach::Answers);
        one(answers.unwrap_or(those.last()?))
    };
    groups.into_iter().filter_map(finding).collect()
}

fn one((host, reach): &(Host, Reach)) -> Option<MachineFinding> {
    let name = &host.name;
    let finding = |found: String| {
        MachineFinding::new("network", format!("{name}: {found}"))
            .needs("an answer", format!("it has {}", host.purpose))
    };
    Some(match reach {
        Reach::Answers => finding("answers".into()),
        Reach::Unasked => finding("not asked, without git".into()).warns("install git"),
        Reach::NoName => finding("no address for that name".into()).warns(
            "check the name server (/etc/resolv.conf); in a closed network, use a mirror: a profile such as `china`, or `[base]` and `mirrors` in the graph",
        ),
        Reach::NoAnswer(why) => finding(format!("no answer: {why}"))
            .warns("a firewall may be in the way: set HTTPS_PROXY, or use a mirror"),
        Reach::DeadProxy(why) => finding(format!("the proxy does not answer: {why}"))
            .warns("correct HTTPS_PROXY, or git's http.proxy"),
        Reach::ProxyRefuses(why) => finding(format!("the proxy refuses: {why}"))
            .warns("give the proxy's user and password, or have the host allowed"),
        Reach::Certificate(why) => finding(format!("its certificate is not trusted: {why}")).warns(
            "a proxy may open TLS: add its authority to the machine's (update-ca-certificates), restart the engine, and use the profile `corporate`",
        ),
    })
}

/// What git's error message about the host `asked` means. Any answer of a server, even a refusal,
/// shows that it was reached.
pub fn diagnose(asked: &str, said: &str) -> Reach {
    let has = |sign: &str| said.contains(sign);
    let said_short = || said.rsplit("': ").next().unwrap_or(said).to_owned();
    match () {
        () if has("Could not resolve proxy") => Reach::DeadProxy(said_short()),
        () if has("from proxy after CONNECT") || has("CONNECT tunnel failed") => {
            Reach::ProxyRefuses(said_short())
        }
        () if tried(said).is_some_and(|tried| tried != asked) => Reach::DeadProxy(said_short()),
        () if has("Could not resolve host") || has("Could not resolve hostname") => Reach::NoName,
        () if has("certificate") || has("SSL") || has("CAfile") || has("TLS") => {
            Reach::Certificate(said_short())
        }
        () if [
            "Failed to connect",
            "Couldn't connect",
            "Connection refused",
            "Connection timed out",
            "No route to host",
            "Network is unreachable",
            "Timeout was reached",
            "Connection reset",
            "Empty reply",
            "no answer within",
        ]
        .iter()
        .any(|sign| has(sign)) =>
        {
            Reach::NoAnswer(said_short())
        }
        () => Reach::Answers,
    }
}

/// The host in `Failed to connect to HOST port PORT`: the proxy, if there is one.
fn tried(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("Failed to connect to ")?;
    rest.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_dead_name_a_proxy_and_a_certificate_are_told_apart() {
        let says = |said: &str| {
            let said = format!("unable to access 'https://a.example/v2/': {said}");
            diagnose("a.example", &said)
        };
        assert_eq!(says("Could not resolve host: a.example"), Reach::NoName);
        assert!(matches!(
            says("Could not resolve proxy: p"),
            Reach::DeadProxy(_)
        ));
        for refused in [
            "Received HTTP code 407 from proxy after CONNECT",
            "CONNECT tunnel failed, response 403",
        ] {
            assert!(matches!(says(refused), Reach::ProxyRefuses(_)), "{refused}");
        }
        for untrusted in [
            "server certificate verification failed. CAfile: none CRLfile: none",
            "SSL certificate problem: self-signed certificate in certificate chain",
        ] {
            assert!(
                matches!(says(untrusted), Reach::Certificate(_)),
                "{untrusted}"
            );
        }
        let to = |host: &str| format!("Failed to connect to {host} port 3128 after 1 ms: x");
        assert_eq!(says(&to("a.example")), Reach::NoAnswer(to("a.example")));
        assert_eq!(says(&to("p.example")), Reach::DeadProxy(to("p.example")));
        assert_eq!(
            says("The requested URL returned error: 403"),
            Reach::Answers
        );
        let asks = "could not read Username for 'https://a.example': terminal prompts disabled";
        assert_eq!(diagnose("a.example", asks), Reach::Answers);
    }

    #[test]
    fn one_mirror_that_answers_is_enough() {
        let host = |name: &str| Host {
            name: name.into(),
            url: format!("https://{name}/v2/"),
            purpose: "images".into(),
            group: "registry docker.io".into(),
        };
        let dead = (host("docker.io"), Reach::NoName);
        let mirror = (host("mirror.example"), Reach::Answers);
        assert_eq!(check(std::slice::from_ref(&dead))[0].level, Level::Warning);
        let found = check(&[dead, mirror]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].level, found[0].found.as_str()),
            (Level::Ok, "mirror.example: answers")
        );
    }
}
