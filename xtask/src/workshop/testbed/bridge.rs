//! The network bridge of an engine of the tests' own: a network that the machine does not use, and
//! the few packet filter rules that let containers out of it.
//!
//! The engine makes no rules itself, because it would begin by emptying the chains that all engines
//! of a machine share, and the published ports of the user's containers would go with them.

use std::fs;

use xshell::{Shell, cmd};

/// The kernel's switch for passing packets on from one network to another.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A bridge. Dropping this removes it, and every packet filter rule that names it.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    /// Whether forwarding was switched on for it.
    forwards: bool,
}

impl Bridge {
    /// Makes a bridge with a network that nothing else on the machine uses. Replaces a bridge of
    /// that name, which only a killed run can have left.
    pub fn make(name: String, seed: u64) -> Result<Self, String> {
        let mut bridge = Self {
            name,
            forwards: false,
        };
        bridge.remove();
        let shell = Shell::new().map_err(|error| error.to_string())?;
        let run =
            |command: xshell::Cmd<'_>| command.quiet().read().map_err(|error| error.to_string());
        let taken =
            run(cmd!(shell, "ip -4 route show"))? + &run(cmd!(shell, "ip -4 address show"))?;
        let mut free =
            (0..250).map(|step| format!("10.213.{}", (seed.wrapping_add(step) % 250) + 2));
        let net = free.find(|net| !taken.contains(&format!("{net}.")));
        let net = net.ok_or("no free network for a bridge below 10.213.0.0")?;
        let name = &bridge.name;
        run(cmd!(shell, "ip link add {name} type bridge"))?;
        run(cmd!(shell, "ip address add {net}.1/24 dev {name}"))?;
        run(cmd!(shell, "ip link set {name} up"))?;
        for rule in rules(name, &net) {
            let words = rule.split(' ');
            run(cmd!(shell, "iptables --wait {words...}"))?;
        }
        bridge.forward().map_err(|error| error.to_string())?;
        Ok(bridge)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn forward(&mut self) -> std::io::Result<()> {
        if fs::read_to_string(FORWARDING)?.trim() == "0" {
            fs::write(FORWARDING, "1")?;
            self.forwards = true;
        }
        Ok(())
    }

    /// Removes what there is of it. Anything that cannot be removed does no harm.
    fn remove(&self) {
        let Ok(shell) = Shell::new() else { return };
        let quietly = |command: xshell::Cmd<'_>| {
            let command = command.quiet().ignore_status().ignore_stderr();
            command.read().unwrap_or_default()
        };
        let name = &self.name;
        quietly(cmd!(shell, "ip link delete {name}"));
        for arguments in deletions(&quietly(cmd!(shell, "iptables-save")), name) {
            quietly(cmd!(shell, "iptables --wait {arguments...}"));
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.remove();
        // Other networks, made since, need forwarding.
        if self.forwards && !has_bridges() {
            let _ = fs::write(FORWARDING, "0");
        }
    }
}

/// The rules that let the containers of a network out, and the answers in.
fn rules(bridge: &str, net: &str) -> [String; 3] {
    [
        format!("--table nat -A POSTROUTING -s {net}.0/24 ! -o {bridge} -j MASQUERADE"),
        // Before all other rules: if another engine runs, its rules drop what nothing allows.
        format!("-I FORWARD -i {bridge} -j ACCEPT"),
        format!("-I FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    ]
}

fn has_bridges() -> bool {
    let links = fs::read_dir("/sys/class/net").into_iter().flatten();
    links
        .flatten()
        .any(|link| link.path().join("bridge").exists())
}

/// The arguments that delete every rule that names the bridge. `saved` is the output of
/// `iptables-save`.
fn deletions(saved: &str, bridge: &str) -> Vec<Vec<String>> {
    let mut table = "filter";
    let mut all = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["-A", rule @ ..] = words.as_slice()
            && rule.contains(&bridge)
        {
            let begin = ["--table", table, "-D"];
            all.push(begin.iter().chain(rule).map(ToString::to_string).collect());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_that_name_the_bridge_are_deleted() {
        let saved = "*nat\n-A POSTROUTING -s 10.213.5.0/24 ! -o xtb1 -j MASQUERADE\n\
            -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\nCOMMIT\n\
            *filter\n:FORWARD DROP [0:0]\n-A FORWARD -i xtb1 -j ACCEPT\n-A FORWARD -i xtb12 -j ACCEPT\n";
        let lines: Vec<String> = deletions(saved, "xtb1")
            .iter()
            .map(|all| all.join(" "))
            .collect();
        let expected = [
            "--table nat -D POSTROUTING -s 10.213.5.0/24 ! -o xtb1 -j MASQUERADE",
            "--table filter -D FORWARD -i xtb1 -j ACCEPT",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn every_rule_names_the_bridge_so_that_it_is_deleted_with_it() {
        let rules = rules("xtb1", "10.213.5");
        assert!(
            rules.iter().all(|rule| rule.contains(" xtb1 ")),
            "{rules:?}"
        );
    }
}
