//! The probe for an address that a service must not reach.
//!
//! The address is tried from the service's own network, directly or through an HTTP proxy. A proxy
//! that tries and fails has let the address through: only its refusal counts. If an answer would
//! prove nothing, the address is not checked. This is never "passed".

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::answer::HttpAnswer;
use super::helper::{Helper, HelperReach};
use super::stream::ProbeStream;
use super::{Ground, ProbeVerdict, shortened};
use crate::graphfile::spec::stack::Refused;

/// The longest time for a proxy's answer.
const ANSWER: Duration = Duration::from_secs(15);

impl Ground<'_> {
    pub(super) fn refused(&self, service: &str, refused: &Refused, until: Instant) -> ProbeVerdict {
        let container = match self.container(service) {
            Ok(container) => container,
            Err(verdict) => return verdict,
        };
        let helper = match self.helper(service, &container) {
            Ok(helper) => helper,
            Err(why) => return ProbeVerdict::not_checked(why),
        };
        match &refused.proxy {
            None => self.directly(&helper, refused, until),
            Some(proxy) => self.through(&helper, refused, proxy, until),
        }
    }

    fn directly(&self, helper: &Helper, refused: &Refused, until: Instant) -> ProbeVerdict {
        let (host, port) = (&refused.host, refused.port);
        let shown = shown(host, port);
        // A service in another network has no name here, so its address is tried.
        let is_service = self.members.iter().any(|member| member.service == *host);
        let mut addresses = Vec::new();
        for member in self.members.iter().filter(|member| member.service == *host) {
            match self.container_of(&member.id) {
                Ok(container) => addresses.extend(container.addresses().map(str::to_owned)),
                Err(verdict) => return verdict,
            }
        }
        if is_service && addresses.is_empty() {
            return ProbeVerdict::not_checked(format!("`{host}` has no address to be tried"));
        }
        if addresses.is_empty() {
            addresses.push(host.clone());
        }
        let mut last = String::new();
        for address in &addresses {
            match helper.reach(self, address, port, until) {
                Ok(HelperReach::Connected) => {
                    return ProbeVerdict::failed(format!("it reaches {shown} ({address})"));
                }
                Ok(HelperReach::Refused(why)) if is_service && why.contains("refused") => {
                    return ProbeVerdict::failed(format!(
                        "it reaches `{host}` ({address}), though nothing listens at port {port} there: {why}"
                    ));
                }
                Ok(HelperReach::Refused(why)) => last = why,
                Ok(HelperReach::Unresolved) => {
                    return ProbeVerdict::not_checked(format!(
                        "the name {host} has no address here, so that nothing was tried"
                    ));
                }
                Err(verdict) => return verdict,
            }
        }
        // A name server that does not answer looks the same as an address that does not answer.
        if !is_service && host.parse::<IpAddr>().is_err() && !self.is_known(helper, host, until) {
            return ProbeVerdict::not_checked(format!(
                "the name {host} is not known here, so that nothing was tried"
            ));
        }
        ProbeVerdict::passed(format!("{shown} is out of reach: {}", shortened(&last)))
    }

    /// Whether a name has an address in the service's network.
    fn is_known(&self, helper: &Helper, name: &str, until: Instant) -> bool {
        // Nothing listens at port 9, so a connection to a known name is refused at once.
        let reach = helper.reach(self, name, 9, until);
        matches!(reach, Ok(HelperReach::Refused(why)) if why.contains("refused"))
    }

    fn through(
        &self,
        helper: &Helper,
        refused: &Refused,
        proxy: &str,
        until: Instant,
    ) -> ProbeVerdict {
        let (host, port) = (&refused.host, refused.port);
        let shown = shown(host, port);
        let Some((proxy_host, proxy_port)) = split(proxy) else {
            return ProbeVerdict::not_checked(format!("the proxy {proxy} has no port"));
        };
        let reach = self.until_it_works(until, || {
            match helper.reach(self, proxy_host, proxy_port, until) {
                Ok(HelperReach::Connected) => Ok(ProbeVerdict::passed("")),
                Ok(HelperReach::Refused(why)) => {
                    Err(format!("the proxy {proxy} is not reached: {why}"))
                }
                Ok(HelperReach::Unresolved) => {
                    Err(format!("the proxy {proxy} is not known in its network"))
                }
                Err(verdict) => Ok(verdict),
            }
        });
        if reach.outcome != super::StackOutcome::Passed {
            return reach;
        }
        let end = Instant::now() + ANSWER;
        let stream = match helper.pipe(self, proxy_host, proxy_port, end) {
            Ok(pipe) => ProbeStream::Pipe(pipe),
            Err(verdict) => return verdict,
        };
        let is_tls = port == 443;
        let request = request(host, port, is_tls);
        match ask(stream, &request, !is_tls) {
            Ok(answer) => judge(&answer, &shown, proxy),
            Err(_) if self.live.is_over() => ProbeVerdict::halted(),
            Err(error) => ProbeVerdict::not_checked(format!(
                "the proxy {proxy} gives no answer for {shown}: {error}"
            )),
        }
    }
}

fn ask(mut stream: ProbeStream<'_>, request: &str, has_body: bool) -> std::io::Result<HttpAnswer> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    HttpAnswer::read(stream, has_body)
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A request to a proxy as a client sends it (RFC 9112, 3.2.2 and 3.2.3).
fn request(host: &str, port: u16, is_tls: bool) -> String {
    let authority = shown(host, port);
    if is_tls {
        return format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    }
    let authority = authority.strip_suffix(":80").unwrap_or(&authority);
    format!(
        "GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: xtask-verify\r\nConnection: close\r\n\r\n"
    )
}

fn split(proxy: &str) -> Option<(&str, u16)> {
    let (host, port) = proxy.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host, port.parse().ok()?))
}

/// What a proxy's answer means.
fn judge(answer: &HttpAnswer, shown: &str, proxy: &str) -> ProbeVerdict {
    // With this header Squid says why the answer is its own.
    let own = answer.header("x-squid-error").unwrap_or_default();
    let status = answer.status;
    if status == 403 || status == 400 && !own.is_empty() {
        return ProbeVerdict::passed(format!("the proxy {proxy} refuses {shown} ({status})"));
    }
    if status == 407 {
        return ProbeVerdict::not_checked(format!("the proxy {proxy} wants a login first (407)"));
    }
    if own.contains("ERR_DNS_FAIL") {
        return ProbeVerdict::not_checked(format!(
            "the proxy {proxy} does not know the name in {shown}, so that nothing was tried"
        ));
    }
    let tried = if matches!(status, 502..=504) {
        ": it tried to reach it"
    } else {
        ""
    };
    ProbeVerdict::failed(format!(
        "the proxy {proxy} lets {shown} through ({status}{tried})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::stack::StackOutcome;

    fn of(status: u16, squid: &str) -> StackOutcome {
        let answer = HttpAnswer {
            status,
            headers: vec![("x-squid-error".into(), squid.into())],
            body: Vec::new(),
        };
        judge(&answer, "10.0.0.1:80", "proxy:3128").outcome
    }

    #[test]
    fn only_a_proxys_own_refusal_is_one() {
        assert_eq!(of(403, "ERR_ACCESS_DENIED 0"), StackOutcome::Passed);
        assert_eq!(of(403, ""), StackOutcome::Passed);
        assert_eq!(of(400, "ERR_INVALID_URL 0"), StackOutcome::Passed);
        // Without the header, the answer may come from the other side.
        assert_eq!(of(400, ""), StackOutcome::Failed);
        assert_eq!(of(200, ""), StackOutcome::Failed);
        assert_eq!(of(503, "ERR_CONNECT_FAIL 111"), StackOutcome::Failed);
        assert_eq!(of(503, "ERR_DNS_FAIL 0"), StackOutcome::NotChecked);
        assert_eq!(of(407, ""), StackOutcome::NotChecked);
    }

    #[test]
    fn an_address_is_asked_for_as_it_is_spelled() {
        let first = |host, port| {
            let request = request(host, port, port == 443);
            request.lines().next().unwrap().to_owned()
        };
        assert_eq!(first("0x7f.1", 80), "GET http://0x7f.1/ HTTP/1.1");
        assert_eq!(
            first("::ffff:10.0.0.1", 80),
            "GET http://[::ffff:10.0.0.1]/ HTTP/1.1"
        );
        assert_eq!(
            first("10.0.0.1", 8080),
            "GET http://10.0.0.1:8080/ HTTP/1.1"
        );
        assert_eq!(first("10.0.0.1", 443), "CONNECT 10.0.0.1:443 HTTP/1.1");
    }
}
