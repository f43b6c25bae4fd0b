//! A real engine for the end-to-end tests.
//!
//! On a bare Debian 12 machine, as root, it installs and starts what the tests need, on sockets
//! and folders of its own, and stops what it started, also when interrupted. A user's own
//! engine, bridges and registries are never touched. Is unaware of the tests themselves.

mod bridge;
mod engine;
mod licences;
mod packages;
mod process;
mod registry;

use camino::{Utf8Path, Utf8PathBuf};

pub use engine::{ImageStore, TestEngine};
pub use licences::check as check_licences;
pub use packages::{install, is_installed};

use crate::fault::Result;
use crate::outside::interrupt::Interrupt;
use registry::Registry;

/// Running engines and a registry; all of them end with this value.
#[derive(Debug)]
pub struct Testbed {
    // The first that was started ends last.
    classic: TestEngine,
    containerd: TestEngine,
    registry: Registry,
    docker: Utf8PathBuf,
}

impl Testbed {
    /// Starts everything, where all that it needs is installed. Data lies below `folder`, which may
    /// be removed at any time that nothing runs.
    pub fn start(folder: &Utf8Path, interrupt: &Interrupt) -> Result<Self> {
        let registry = Registry::start(&folder.join("registry"), interrupt)?;
        let engine = |name: &str, store| TestEngine::start(&folder.join(name), store, interrupt);
        let containerd = engine("containerd", ImageStore::Containerd)?;
        let classic = engine("classic", ImageStore::Classic)?;
        Ok(Self {
            classic,
            containerd,
            registry,
            docker: packages::docker(),
        })
    }

    /// What the tests find it by.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("XTASK_TEST_CONTAINERD", self.containerd.host()),
            ("XTASK_TEST_CLASSIC", self.classic.host()),
            ("XTASK_TEST_REGISTRY", self.registry.address()),
            ("XTASK_TEST_DOCKER", self.docker.to_string()),
        ]
    }

    /// The address of the engine that keeps its images in containerd.
    pub fn host(&self) -> String {
        self.containerd.host()
    }
}
