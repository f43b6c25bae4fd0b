//! The network bridge of an engine of the tests' own.
//!
//! Knows how to find a network that the machine does not use, and what an engine leaves behind in
//! the packet filter when it ends. Is unaware of engines.

use xshell::{Shell, cmd};

/// A bridge; it goes with this value, and with it every packet filter rule that names it.
#[derive(Debug)]
pub struct Bridge {
    name: String,
}

impl Bridge {
    /// Makes a bridge with a network that nothing else on the machine uses. One of that name, which
    /// only a run that was killed can have left, is replaced.
    pub fn make(name: String, seed: u64) -> Result<Self, String> {
        let bridge = Self { name };
        let name = &bridge.name;
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
        run(cmd!(shell, "ip link add {name} type bridge"))?;
        run(cmd!(shell, "ip address add {net}.1/24 dev {name}"))?;
        run(cmd!(shell, "ip link set {name} up"))?;
        Ok(bridge)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it as far as it is there. What cannot be removed disturbs nobody.
    fn remove(&self) {
        let Ok(shell) = Shell::new() else { return };
        let quietly = |command: xshell::Cmd<'_>| {
            let command = command.quiet().ignore_status().ignore_stderr();
            command.read().unwrap_or_default()
        };
        let name = &self.name;
        quietly(cmd!(shell, "ip link delete {name}"));
        for (save, change) in [
            ("iptables-save", "iptables"),
            ("ip6tables-save", "ip6tables"),
        ] {
            for arguments in deletions(&quietly(cmd!(shell, "{save}")), name) {
                quietly(cmd!(shell, "{change} {arguments...}"));
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The arguments that delete every rule that names the bridge, of what `iptables-save` printed.
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
            let begin = ["--wait", "--table", table, "-D"];
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
            *filter\n:FORWARD DROP [0:0]\n-A FORWARD -o xtb1 -j DOCKER\n-A FORWARD -o xtb12 -j DOCKER\n";
        let lines: Vec<String> = deletions(saved, "xtb1")
            .iter()
            .map(|all| all.join(" "))
            .collect();
        let expected = [
            "--wait --table nat -D POSTROUTING -s 10.213.5.0/24 ! -o xtb1 -j MASQUERADE",
            "--wait --table filter -D FORWARD -o xtb1 -j DOCKER",
        ];
        assert_eq!(lines, expected);
    }
}
