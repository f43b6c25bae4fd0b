//! Hosts, ports and networks, as text. No name is resolved.

use std::net::IpAddr;

/// The host and the port of an authority. The brackets of an IPv6 address are removed.
pub fn split_port(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (
            host,
            port.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match authority.rsplit_once(':') {
        // More than one colon is an address without brackets.
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// Whether the authority names this machine.
pub fn is_loopback(authority: &str) -> bool {
    let (host, _) = split_port(authority);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether `host` is an address in `network`, such as `10.0.0.0/8`.
pub fn is_in_network(host: &str, network: &str) -> bool {
    let Some((base, length)) = network.split_once('/') else {
        return false;
    };
    let (Ok(host), Ok(base), Ok(length)) = (
        host.parse::<IpAddr>(),
        base.parse::<IpAddr>(),
        length.parse::<u32>(),
    ) else {
        return false;
    };
    let (host, base, width) = match (host, base) {
        (IpAddr::V4(host), IpAddr::V4(base)) => {
            (u128::from(host.to_bits()), u128::from(base.to_bits()), 32)
        }
        (IpAddr::V6(host), IpAddr::V6(base)) => (host.to_bits(), base.to_bits(), 128),
        _ => return false,
    };
    // With length 0 there is nothing to compare, and a shift by the whole width would overflow.
    length <= width && (length == 0 || (host ^ base) >> (width - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_from_the_colons_of_an_address() {
        for (authority, expected) in [
            ("a.example", ("a.example", None)),
            ("a.example:5000", ("a.example", Some(5000))),
            ("[::1]:5000", ("::1", Some(5000))),
            ("[::1]", ("::1", None)),
            ("::1", ("::1", None)),
        ] {
            assert_eq!(split_port(authority), expected, "{authority}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for here in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "localhost.example",
            "10.0.0.1",
            "128.0.0.1:5000",
            "[::2]",
            "",
            "127.1.example",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_first_bits() {
        assert!(is_in_network("10.200.3.4", "10.0.0.0/8"));
        assert!(is_in_network("10.0.0.1", "10.0.0.1/32"));
        assert!(is_in_network("192.0.2.1", "0.0.0.0/0"));
        assert!(is_in_network("fd00::1", "fd00::/8"));
        for (host, network) in [
            ("11.0.0.1", "10.0.0.0/8"),
            ("10.0.0.2", "10.0.0.1/32"),
            ("10.0.0.1", "10.0.0.0/33"),
            ("10.0.0.1", "::/0"),
            ("a.example", "0.0.0.0/0"),
            ("10.0.0.1", "10.0.0.0"),
        ] {
            assert!(!is_in_network(host, network), "{host} {network}");
        }
    }
}
