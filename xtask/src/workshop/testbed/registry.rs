//! A registry of the tests' own, on loopback.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use camino::Utf8Path;

use super::process::{Server, end_leftover};
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;

/// A running registry. Dropping this ends it.
#[derive(Debug)]
pub struct Registry {
    _server: Server,
    address: String,
}

impl Registry {
    /// Starts a registry on a free port, with its data below `folder`.
    pub fn start(folder: &Utf8Path, interrupt: &Interrupt) -> Result<Self> {
        let fault = |error: std::io::Error| {
            Fault::lacks(format!(
                "cannot start a registry for the tests in {folder}: {error}"
            ))
        };
        std::fs::create_dir_all(folder).map_err(fault)?;
        let folder = folder.canonicalize_utf8().map_err(fault)?;
        end_leftover(&folder, folder.as_str());
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .map_err(fault)?
            .port();
        let address = format!("127.0.0.1:{port}");
        let data = folder.join("data");
        let config = folder.join("config.yml");
        let content = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {data}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n"
        );
        std::fs::write(&config, content).map_err(fault)?;
        let mut command = Command::new("/usr/bin/docker-registry");
        command.arg("serve").arg(config.as_str());
        let server = Server::start("a registry", &mut command, &folder, interrupt, || {
            TcpStream::connect(&address).is_ok()
        })?;
        Ok(Self {
            _server: server,
            address,
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }
}
