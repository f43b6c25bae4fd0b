//! A container in a service's own network, from which addresses are tried.
//!
//! No image is pulled for it: it runs one of the stack's images that has a shell and a program that
//! can connect. If no image has both, the address is not checked.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::pipe::Pipe;
use super::{Ground, ProbeVerdict};
use crate::outside::engine::Container;
use crate::unpoisoned::Unpoisoned as _;
use crate::verify::stack::child::{Effect, Ended};

/// How long one connection may take, in seconds.
const LIMIT: &str = "3";

/// Finds the program: the first in this list that the image has.
const FIND: &str = "for tool in python3 perl nc bash node; do command -v $tool >/dev/null 2>&1 && { echo $tool; exit 0; }; done; exit 1";

/// Tries to connect to `$1 $2` for `$3` seconds and prints the result.
fn reaching(tool: &str) -> &'static str {
    match tool {
        "python3" => {
            "exec python3 -c 'import socket, sys\ntry:\n  socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])); print(\"connected\")\nexcept socket.gaierror:\n  print(\"unresolved\")\nexcept OSError as e:\n  print(\"refused\", e)' \"$1\" \"$2\" \"$3\""
        }
        "perl" => {
            "exec perl -MSocket -MIO::Socket::INET -e '$ARGV[0] =~ /^[0-9.]+$/ or inet_aton($ARGV[0]) or print(\"unresolved\") and exit; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => $ARGV[2]); print $s ? \"connected\" : \"refused $@\"' \"$1\" \"$2\" \"$3\""
        }
        "bash" => {
            "if timeout \"$3\" bash -c 'exec 3<>/dev/tcp/$0/$1' \"$1\" \"$2\" 2>/tmp/.e; then echo connected; else echo refused; fi"
        }
        "node" => {
            "exec node -e 'const [h, p, t] = process.argv.slice(1); const s = require(\"net\").connect(+p, h); const end = (w) => { console.log(w); process.exit(0); }; s.setTimeout(t * 1000, () => end(\"refused timed out\")); s.on(\"connect\", () => end(\"connected\")); s.on(\"error\", (e) => end(e.code === \"ENOTFOUND\" || e.code === \"EAI_AGAIN\" ? \"unresolved\" : \"refused \" + e.message));' \"$1\" \"$2\" \"$3\""
        }
        // Busybox waits for the other side to end, so only its messages tell whether it connected.
        _ => {
            "if nc --help 2>&1 | grep -qi busybox; then said=$(timeout -s KILL 5 nc -w \"$3\" \"$1\" \"$2\" </dev/null 2>&1 >/dev/null); code=$?; case \"$said\" in *'bad address'*) echo unresolved;; *'t connect'*|*'timed out'*|*refused*|*nreachable*) echo \"refused $said\";; *) case $code in 0|137|143) echo connected;; *) echo \"refused $said\";; esac;; esac; else said=$(nc -v -z -w \"$3\" \"$1\" \"$2\" 2>&1) && echo connected || case \"$said\" in *getaddrinfo*|*'not known'*) echo unresolved;; *) echo \"refused $said\";; esac; fi"
        }
    }
}

/// Sends standard input to `$1 $2`, and the answer to standard output.
fn carrying(tool: &str) -> &'static str {
    match tool {
        "python3" => {
            "exec python3 -u -c 'import os, socket, sys, threading\ns = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); s.settimeout(None)\ndef up():\n  while True:\n    d = os.read(0, 65536)\n    if not d: os._exit(0)\n    s.sendall(d)\nthreading.Thread(target=up, daemon=True).start()\nwhile True:\n  d = s.recv(65536)\n  if not d: os._exit(0)\n  os.write(1, d)' \"$1\" \"$2\""
        }
        "perl" => {
            "exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 5) or exit 1; my $r = q(); vec($r, 0, 1) = 1; vec($r, fileno($s), 1) = 1; while (select(my $q = $r, undef, undef, undef)) { if (vec($q, fileno($s), 1)) { sysread($s, my $d, 65536) or exit; syswrite(STDOUT, $d) } if (vec($q, 0, 1)) { sysread(STDIN, my $d, 65536) or exit; syswrite($s, $d) } }' \"$1\" \"$2\""
        }
        "bash" => "exec bash -c 'exec 3<>/dev/tcp/$0/$1; cat >&3 & cat <&3' \"$1\" \"$2\"",
        "node" => {
            "exec node -e 'const [h, p] = process.argv.slice(1); const s = require(\"net\").connect(+p, h); process.stdin.pipe(s); s.pipe(process.stdout); s.on(\"close\", () => process.exit(0)); s.on(\"error\", () => process.exit(1));' \"$1\" \"$2\""
        }
        _ => "exec nc -w 5 \"$1\" \"$2\"",
    }
}

/// A running helper.
#[derive(Debug, Clone)]
pub(in crate::verify::stack) struct Helper {
    id: String,
    tool: String,
}

/// The result of a try to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HelperReach {
    Connected,
    /// The connection failed. The text is the program's own.
    Refused(String),
    /// The name has no address.
    Unresolved,
}

impl Ground<'_> {
    /// The helper in a service's network, or why there is none. It is made at its first use.
    pub(super) fn helper(&self, service: &str, container: &Container) -> Result<Helper, String> {
        let mut helpers = self.helpers.lock().unpoisoned();
        if let Some(known) = helpers.get(service) {
            return known.clone();
        }
        let made = self.make_helper(container);
        if !self.live.is_over() {
            helpers.insert(service.to_owned(), made.clone());
        }
        made
    }

    fn make_helper(&self, container: &Container) -> Result<Helper, String> {
        let others = self
            .images
            .iter()
            .filter(|image| **image != container.image);
        for image in std::iter::once(&container.image).chain(others) {
            if self.live.is_over() {
                return Err("the stack failed before this was answered".to_owned());
            }
            if let Some(helper) = self.helper_of(image, &container.id) {
                return Ok(helper);
            }
        }
        Err("no image of the stack has a shell and one of python3, perl, nc, bash and node, by which an address could be tried from the service's network".to_owned())
    }

    /// A helper that runs this image, if the image has what a helper needs.
    fn helper_of(&self, image: &str, container: &str) -> Option<Helper> {
        let network = format!("container:{container}");
        let mut run = Command::new("docker");
        run.args(["run", "--detach", "--pull", "never", "--label", self.label]);
        run.args(["--network", &network, "--cap-drop", "ALL"]);
        run.args(["--entrypoint", "sh", image, "-c", "sleep 3600"]);
        let until = Instant::now() + Duration::from_secs(30);
        let ended = self.live.run(&mut run, Effect::Makes, None, Some(until));
        let Ok(Ended::Done(said)) = ended else {
            return None;
        };
        if !said.status.success() {
            // A container that could not be started is removed with the rest.
            return None;
        }
        let id = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let (said, _) = self.in_container(&id, &["sh", "-c", FIND], until).ok()?;
        let tool = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        (said.status.success() && !tool.is_empty()).then_some(Helper { id, tool })
    }
}

impl Helper {
    /// Tries to connect.
    pub(super) fn reach(
        &self,
        ground: &Ground<'_>,
        host: &str,
        port: u16,
        until: Instant,
    ) -> Result<HelperReach, ProbeVerdict> {
        let port = port.to_string();
        let script = reaching(&self.tool);
        let command = ["sh", "-c", script, "sh", host, &port, LIMIT];
        // The script has a time limit, but a name server may take longer.
        let until = until.max(Instant::now() + Duration::from_secs(8));
        let (said, in_time) = ground.in_container(&self.id, &command, until)?;
        if !in_time {
            return Ok(HelperReach::Refused("no answer in time".to_owned()));
        }
        let text = said.text();
        let word = text.split_whitespace().next().unwrap_or_default();
        match word {
            "connected" => Ok(HelperReach::Connected),
            "unresolved" => Ok(HelperReach::Unresolved),
            "refused" => {
                let why = text.trim_start_matches("refused").trim();
                Ok(HelperReach::Refused(why.to_owned()))
            }
            _ => Err(ProbeVerdict::not_checked(format!(
                "cannot try an address from the service's network by {}: {text}",
                self.tool
            ))),
        }
    }

    /// Connects.
    pub(super) fn pipe<'g>(
        &self,
        ground: &'g Ground<'g>,
        host: &str,
        port: u16,
        until: Instant,
    ) -> Result<Pipe<'g>, ProbeVerdict> {
        let mut docker = Command::new("docker");
        docker.args(["exec", "--interactive", &self.id, "sh", "-c"]);
        docker.args([carrying(&self.tool), "sh", host, &port.to_string()]);
        docker
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        match ground.live.spawn(&mut docker, Effect::Asks) {
            Ok(Some(child)) => Ok(Pipe::new(ground, child, until)),
            Ok(None) => Err(ProbeVerdict::halted()),
            Err(error) => Err(ProbeVerdict::not_checked(format!(
                "cannot run `docker`: {error}"
            ))),
        }
    }
}
