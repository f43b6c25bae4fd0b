//! The network: which hosts answer, and how far off this machine's clock is.
//!
//! Git asks the hosts, so that the request takes the way of a fetch: its proxy, its certificates.
//! Any answer of the server counts, since no registry is a repository.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::outside::ask::ask;
use crate::outside::clock;
use crate::outside::git;
use crate::outside::interrupt::Interrupt;
use crate::setup::facts::{Host, Reach};
use crate::setup::network::diagnose;

/// How many hosts are asked at once.
const AT_ONCE: usize = 8;
/// How long a server may take to tell the time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks all hosts.
pub fn reach(hosts: Vec<Host>, has_git: bool, interrupt: &Interrupt) -> Vec<(Host, Reach)> {
    let mut all = Vec::new();
    for part in hosts.chunks(AT_ONCE) {
        let answers = std::thread::scope(|scope| {
            let asked: Vec<_> = part
                .iter()
                .map(|host| scope.spawn(|| reach_one(host, has_git, interrupt)))
                .collect();
            let joined = asked
                .into_iter()
                .map(|one| one.join().unwrap_or(Reach::Unasked));
            joined.collect::<Vec<_>>()
        });
        all.extend(part.iter().cloned().zip(answers));
    }
    all
}

fn reach_one(host: &Host, has_git: bool, interrupt: &Interrupt) -> Reach {
    if !has_git {
        return Reach::Unasked;
    }
    let mut command = git::command();
    command.args(["ls-remote", "--exit-code", "--", &host.url, "HEAD"]);
    let said = ask(command, interrupt);
    if said.good {
        return Reach::Answers;
    }
    diagnose(name_in(&host.url), &git::sentence(&said.stderr))
}

/// The bare host name in a URL.
fn name_in(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let name = authority.rsplit('@').next().unwrap_or(authority);
    name.split(':').next().unwrap_or(name)
}

/// How many seconds this machine's clock is ahead of the first of `servers` that tells the time in
/// HTTP's Date. Asks through the proxy, if there is one.
pub fn clock(servers: &[String]) -> Option<i64> {
    let proxy = std::env::var("http_proxy").ok();
    let proxy = proxy.as_deref().map(name_and_port);
    servers.iter().find_map(|server| {
        let (at, line) = match &proxy {
            Some(proxy) => (proxy.clone(), format!("http://{server}/")),
            None => (format!("{server}:80"), "/".to_owned()),
        };
        let before = now()?;
        let date = seconds_of(&date_of(&at, &line, server)?)?;
        let after = now()?;
        Some(i64::midpoint(before, after) - date)
    })
}

fn now() -> Option<i64> {
    i64::try_from(clock::now().as_secs()).ok()
}

fn name_and_port(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let name = authority.rsplit('@').next().unwrap_or(authority);
    if name.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:80")
    }
}

/// The Date header of a server's answer.
fn date_of(at: &str, line: &str, host: &str) -> Option<String> {
    let address = at.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("HEAD {line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = Vec::new();
    // Headers are not longer than that.
    let _ = stream.take(16 << 10).read_to_end(&mut head);
    let head = String::from_utf8_lossy(&head);
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date")
            .then(|| value.trim().to_owned())
    })
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, IMF-fixdate).
fn seconds_of(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = date.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else {
        return None;
    };
    let day: i64 = day.parse().ok()?;
    let year: i64 = year.parse().ok()?;
    let month = MONTHS.iter().position(|name| name == month)?;
    let mut clock = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..10_000).contains(&year) || !(1..32).contains(&day) {
        return None;
    }
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_before: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let days = days_before + lengths[..month].iter().sum::<i64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_date_is_the_seconds_that_date_minus_u_prints() {
        assert_eq!(
            seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            seconds_of("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199)
        );
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for wrong in [
            "",
            "yesterday",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_server_of_another_time_is_believed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let size = stream.read(&mut request).unwrap();
            assert!(request[..size].starts_with(b"HEAD / HTTP/1.1\r\nHost: a.example\r\n"));
            let answer = "HTTP/1.1 301 x\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let date = date_of(&at, "/", "a.example");
        server.join().unwrap();
        assert_eq!(date.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    }

    #[test]
    fn the_host_is_found_in_every_kind_of_url() {
        for url in [
            "https://a.example/v2/",
            "ssh://me@a.example:22/x",
            "https://me:pw@a.example/x",
        ] {
            assert_eq!(name_in(url), "a.example", "{url}");
        }
    }
}
