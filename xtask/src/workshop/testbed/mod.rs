//! Real engines and a registry for the end-to-end tests.
//!
//! On a bare Debian 12 machine, as root, this installs and starts what the tests need, on sockets
//! and folders of its own. It stops what it started, also after an interrupt. A user's own engine,
//! bridges and registries are never touched.

mod bridge;
mod engine;
mod licences;
mod packages;
mod process;
mod registry;

use camino::{Utf8Path, Utf8PathBuf};

pub use engine::{ImageStore, TestEngine};
pub use licences::check as check_licences;
pub use packages::{Purpose, install, is_installed};

use crate::fault::Result;
use crate::outside::interrupt::Interrupt;
use registry::Registry;

/// Running engines and a registry. Dropping this ends them all.
#[derive(Debug)]
pub struct Testbed {
    // Dropped in this order: the first that was started ends last.
    classic: TestEngine,
    containerd: TestEngine,
    registry: Registry,
    docker: Utf8PathBuf,
}

impl Testbed {
    /// Starts everything; what it needs must be installed. Data lies below `folder`, which may be
    /// removed whenever nothing runs.
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

    /// The variables by which the tests find it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("XTASK_TEST_CONTAINERD", self.containerd.host()),
            ("XTASK_TEST_CLASSIC", self.classic.host()),
            ("XTASK_TEST_REGISTRY", self.registry.address()),
            ("XTASK_TEST_DOCKER", self.docker.to_string()),
        ]
    }

    /// The address of the registry: `host:port`.
    pub fn registry(&self) -> String {
        self.registry.address()
    }

    /// The address of the engine that keeps its images in containerd.
    pub fn host(&self) -> String {
        self.containerd.host()
    }
}
