//! Chooses the proxy for a request by `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as
//! docker and curl read them. This machine is never asked through a proxy.

use super::net;

/// The proxy variables of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    except: Vec<String>,
}

impl Proxies {
    /// Reads the variables with `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let lower = name.to_lowercase();
            [name, lower.as_str()]
                .into_iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        };
        let all = either("ALL_PROXY");
        Self {
            https: either("HTTPS_PROXY").or_else(|| all.clone()),
            http: either("HTTP_PROXY").or(all),
            except: either("NO_PROXY")
                .unwrap_or_default()
                .split(',')
                .map(|entry| entry.trim().to_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        }
    }

    /// The address of the proxy for a host.
    pub fn of(&self, scheme: &str, authority: &str) -> Option<&str> {
        if net::is_loopback(authority) || self.excepts(authority) {
            return None;
        }
        match scheme {
            "https" => self.https.as_deref(),
            _ => self.http.as_deref(),
        }
    }

    fn excepts(&self, authority: &str) -> bool {
        let authority = authority.to_lowercase();
        let (host, port) = net::split_port(&authority);
        self.except.iter().any(|entry| {
            if entry == "*" || net::is_in_network(host, entry) {
                return true;
            }
            let (name, wanted) = net::split_port(entry);
            if wanted.is_some() && wanted != port {
                return false;
            }
            // `.example.com` and `*.example.com` mean the subdomains, `example.com` also the host.
            let below = name.strip_prefix('*').unwrap_or(name);
            match below.strip_prefix('.') {
                Some(domain) => is_below(host, domain),
                None => host == name || is_below(host, name),
            }
        })
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_proxy_and_one_may_serve_all() {
        let both = with(&[("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2")]);
        assert_eq!(both.of("https", "a.example"), Some("http://s:1"));
        assert_eq!(both.of("http", "a.example"), Some("http://p:2"));
        let all = with(&[("ALL_PROXY", "http://a:3"), ("HTTPS_PROXY", "")]);
        assert_eq!(all.of("https", "a.example"), Some("http://a:3"));
        assert_eq!(with(&[]).of("https", "a.example"), None);
    }

    #[test]
    fn this_machine_and_what_is_excepted_are_asked_directly() {
        let proxies = with(&[
            ("HTTPS_PROXY", "http://s:1"),
            (
                "NO_PROXY",
                "corp.example, .inner.example,*.wild.example,10.0.0.0/8,reg.example:5000",
            ),
        ]);
        for direct in [
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "corp.example",
            "REG.corp.example:443",
            "a.inner.example",
            "a.wild.example",
            "10.3.2.1:5000",
            "reg.example:5000",
        ] {
            assert_eq!(proxies.of("https", direct), None, "{direct}");
        }
        for through in [
            "xcorp.example",
            "inner.example",
            "wild.example",
            "11.0.0.1",
            "reg.example:5001",
            "reg.example",
            "registry-1.docker.io",
        ] {
            assert_eq!(
                proxies.of("https", through),
                Some("http://s:1"),
                "{through}"
            );
        }
        let none = with(&[("HTTPS_PROXY", "http://s:1"), ("no_proxy", "*")]);
        assert_eq!(none.of("https", "a.example"), None);
    }
}
