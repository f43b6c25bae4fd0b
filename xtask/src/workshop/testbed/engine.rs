//! A Docker Engine of the tests' own, beside a first engine and without an init system.
//!
//! It has its own socket, data root, pid file and containerd, a bridge made beforehand (`--bridge
//! none` would delete the first engine's bridge), and makes no rules in the packet filter
//! (ENGINE.md, *A second engine beside the first*). What an engine leaves behind is removed, too.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use super::bridge::Bridge;
use super::process::{Server, end_leftover};
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;

/// Where an engine keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageStore {
    /// In containerd: several platforms, attestations.
    Containerd,
    /// In the engine's own graph driver.
    Classic,
}

/// A running engine. Dropping this ends it, and then its bridge.
#[derive(Debug)]
pub struct TestEngine {
    // Dropped in this order.
    server: Server,
    _leavings: Leavings,
    _bridge: Bridge,
    socket: Utf8PathBuf,
}

impl TestEngine {
    /// Starts an engine with its data below `folder`.
    pub fn start(folder: &Utf8Path, store: ImageStore, interrupt: &Interrupt) -> Result<Self> {
        Self::start_with(folder, store, &[], interrupt)
    }

    /// The same, with further arguments of `dockerd`.
    pub fn start_with(
        folder: &Utf8Path,
        store: ImageStore,
        more: &[String],
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let fault = |error: &dyn std::fmt::Display| {
            Fault::lacks(format!(
                "cannot start an engine for the tests in {folder}: {error}"
            ))
        };
        std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
        let folder = folder.canonicalize_utf8().map_err(|error| fault(&error))?;
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        let id = format!("{:08x}", hasher.finish() >> 32);
        // A socket's path must be short; a checkout's path may be long.
        let run = Utf8PathBuf::from(format!("/run/xtask-test-{id}"));
        end_leftover(&folder, run.as_str());
        let data = folder.join("data");
        let leavings = Leavings {
            data: data.clone(),
            run: run.clone(),
        };
        leavings.remove();
        std::fs::create_dir_all(&run).map_err(|error| fault(&error))?;
        let bridge = Bridge::make(format!("xtb{id}"), hasher.finish());
        let bridge = bridge.map_err(|error| fault(&error))?;
        mount_cgroups().map_err(|error| fault(&error))?;
        let socket = run.join("docker.sock");
        let config = folder.join("daemon.json");
        let containerd = store == ImageStore::Containerd;
        let content = format!("{{\"features\":{{\"containerd-snapshotter\":{containerd}}}}}\n");
        std::fs::write(&config, content).map_err(|error| fault(&error))?;
        let mut command = Command::new("/usr/sbin/dockerd");
        command
            .arg(format!("--config-file={config}"))
            .arg(format!("--host=unix://{socket}"))
            .arg(format!("--data-root={data}"))
            .arg(format!("--exec-root={}", run.join("exec")))
            .arg(format!("--pidfile={}", run.join("engine.pid")))
            .arg(format!("--containerd-namespace=xtask-{id}"))
            .arg(format!("--containerd-plugins-namespace=xtask-plugins-{id}"))
            .arg(format!("--bridge={}", bridge.name()))
            // `Bridge` makes the rules and switches forwarding on.
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .args(more);
        let server = Server::start("an engine", &mut command, &folder, interrupt, || {
            answers(&socket)
        })?;
        Ok(Self {
            server,
            _leavings: leavings,
            _bridge: bridge,
            socket,
        })
    }

    /// Kills the engine, as a fault of its machine would.
    pub fn kill(&self) -> std::io::Result<()> {
        self.server.kill()
    }

    /// For DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket)
    }
}

/// What an engine leaves behind when it ends. Dropping this removes it.
#[derive(Debug)]
struct Leavings {
    data: Utf8PathBuf,
    run: Utf8PathBuf,
}

impl Leavings {
    /// Removes what there is of it. Anything that cannot be removed does no harm.
    fn remove(&self) {
        // An engine mounts its data folder on itself. It unmounts the folder only if it recognises
        // the mount again: not in every root of a namespace, and not if it was killed.
        if let Ok(shell) = Shell::new() {
            let data = &self.data;
            let unmount = cmd!(shell, "umount --recursive --quiet {data}");
            let _ = unmount.quiet().ignore_status().ignore_stderr().run();
        }
        let _ = std::fs::remove_dir_all(&self.run);
    }
}

impl Drop for Leavings {
    fn drop(&mut self) {
        self.remove();
    }
}

fn answers(socket: &Utf8Path) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = UnixStream::connect(socket) else {
        return false;
    };
    let mut answer = [0; 12];
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.ends_with(b"200")
}

/// Mounts the control groups, which a machine without an init system may lack. Does nothing if any
/// are mounted.
fn mount_cgroups() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
    if mounts.lines().any(|line| {
        line.split(' ')
            .nth(2)
            .is_some_and(|kind| kind.starts_with("cgroup"))
    }) {
        return Ok(());
    }
    let shell = Shell::new().map_err(|error| error.to_string())?;
    cmd!(shell, "mount -t cgroup2 none /sys/fs/cgroup")
        .quiet()
        .run()
        .map_err(|error| error.to_string())
}
