//! The ports that the programs of a container listen on.
//!
//! Read from the kernel's tables of connections (proc(5), `/proc/net/tcp`), so that "connection
//! refused" can name the port that does listen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Ground;
use crate::outside::engine::Container;

impl Ground<'_> {
    /// A sentence about a port at which nothing answers.
    pub(super) fn nothing_listens(
        &self,
        service: &str,
        container: &Container,
        port: u16,
    ) -> String {
        let mut sentence = format!("nothing answers at port {port} of `{service}`");
        let until = Instant::now() + Duration::from_secs(3);
        let tables = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
        let Ok((said, true)) = self.in_container(&container.id, &tables, until) else {
            return sentence;
        };
        let found = listening(&String::from_utf8_lossy(&said.stdout));
        let list = |ports: &BTreeSet<u16>| {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            ports.join(", ")
        };
        sentence.push_str(&if found.loopback.contains(&port) {
            "; its program listens on 127.0.0.1 only, which other containers cannot reach"
                .to_owned()
        } else if found.open.is_empty() && found.loopback.is_empty() {
            "; its program does not listen on any port".to_owned()
        } else if found.open.is_empty() {
            format!(
                "; its program listens on 127.0.0.1 only, on port {}",
                list(&found.loopback)
            )
        } else {
            format!("; its program listens on port {}", list(&found.open))
        });
        sentence
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Listening {
    open: BTreeSet<u16>,
    loopback: BTreeSet<u16>,
}

/// Reads the two tables, one after the other.
fn listening(tables: &str) -> Listening {
    /// The state `TCP_LISTEN`.
    const LISTEN: &str = "0A";
    /// 127.0.0.11, the address of docker's own name server in every container.
    const NAMES: &str = "0B00007F";
    let mut found = Listening::default();
    for line in tables.lines() {
        let mut fields = line.split_whitespace();
        let (Some(local), Some(LISTEN)) = (fields.nth(1), fields.nth(1)) else {
            continue;
        };
        let Some((address, port)) = local.rsplit_once(':') else {
            continue;
        };
        let Ok(port) = u16::from_str_radix(port, 16) else {
            continue;
        };
        let is_v4_loopback = address.len() == 8 && address.ends_with("7F");
        let is_v6_loopback = address == "00000000000000000000000001000000";
        if address == NAMES {
        } else if is_v4_loopback || is_v6_loopback {
            found.loopback.insert(port);
        } else {
            found.open.insert(port);
        }
    }
    // A program that listens on both can be reached.
    found.loopback.retain(|port| !found.open.contains(port));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_kernels_tables() {
        let tables = "  sl  local_address rem_address   st tx_queue\n\
             0: 0B00007F:9A8F 00000000:0000 0A 00000000\n\
             1: 00000000:1F90 00000000:0000 0A 00000000\n\
             2: 0100007F:0050 00000000:0000 0A 00000000\n\
             3: 0200A8C0:0051 00000000:0000 01 00000000\n\
             0: 00000000000000000000000000000000:0052 0000:0000 0A 0\n\
             1: 00000000000000000000000001000000:0053 0000:0000 0A 0\n";
        let found = listening(tables);
        assert_eq!(found.open, BTreeSet::from([8080, 82]));
        assert_eq!(found.loopback, BTreeSet::from([80, 83]));
    }
}
