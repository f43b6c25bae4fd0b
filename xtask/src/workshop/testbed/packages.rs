//! Debian packages that the tests need. `setup` knows where a Debian 12 machine gets an engine with
//! buildx.

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Class, Fault, Result};
use crate::outside::interrupt::Interrupt;
use crate::setup::apply::apply;
use crate::setup::facts::Facts;
use crate::setup::gather::debian_mirror;
use crate::setup::packages as suite;
use crate::setup::plan::{SetupPlan, Step};

/// Pairs of a program that proves that a package is installed, and the package.
const NEEDED: [(&str, &str); 11] = [
    ("/usr/sbin/dockerd", "docker.io/trixie"),
    ("/usr/bin/docker", "docker-cli/trixie"),
    (
        "/usr/libexec/docker/cli-plugins/docker-buildx",
        "docker-buildx/trixie",
    ),
    (
        "/usr/libexec/docker/cli-plugins/docker-compose",
        "docker-compose/trixie",
    ),
    ("/usr/bin/docker-registry", "docker-registry/trixie"),
    ("/usr/bin/cosign", "cosign/trixie"),
    ("/usr/sbin/iptables", "iptables"),
    ("/bin/ip", "iproute2"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/git", "git"),
    ("/usr/sbin/debootstrap", "debootstrap"),
];

/// The same for the browser in which the tests open the page of `report`.
const BROWSER: [(&str, &str); 2] = [
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/chromedriver", "chromium-driver"),
];

/// What packages are installed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Engines and a registry.
    Engines,
    /// All tests, which need a browser, too.
    Tests,
}

/// The docker command of these packages; another one may be first on `PATH`.
pub fn docker() -> Utf8PathBuf {
    "/usr/bin/docker".into()
}

/// Whether all packages of engines are installed.
pub fn is_installed() -> bool {
    NEEDED
        .iter()
        .all(|(program, _)| Utf8Path::new(program).exists())
}

/// Installs what is missing. If nothing is, starts no program. The package manager's output goes to
/// the log.
pub fn install(purpose: Purpose, log: &Utf8Path, interrupt: &Interrupt) -> Result<()> {
    let browser: &[(&str, &str)] = match purpose {
        Purpose::Engines => &[],
        Purpose::Tests => &BROWSER,
    };
    let missing: Vec<&str> = NEEDED
        .iter()
        .chain(browser)
        .filter(|(program, _)| !Utf8Path::new(program).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.join(", ");
    let fault = |why: &str| {
        Fault::lacks(format!(
            "the tests need {named}: {why}; or point XTASK_TEST_ENGINE at a running engine, as unix:///var/run/docker.sock"
        ))
    };
    if !rustix::process::geteuid().is_root() {
        return Err(fault("run this as root to have them installed"));
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        return Err(fault(
            "only Debian 12 is known here, so install them by hand",
        ));
    }
    let Some(mirror) = debian_mirror() else {
        return Err(fault(
            "apt's sources name no mirror to take Debian 13 from, so add one",
        ));
    };
    let mut facts = Facts::default();
    facts.user.is_root = true;
    apply(&plan(&mirror, &missing), &facts, log, interrupt).map_err(|why| match why.class {
        Class::Interrupted => why,
        _ => fault(&why.message),
    })
}

/// A plan that adds Debian 13 beside Debian 12, from the mirror that the machine uses already, and
/// installs the packages.
fn plan(mirror: &str, missing: &[&str]) -> SetupPlan {
    let run = |argv: &[&str]| Step::Run {
        argv: argv.iter().map(ToString::to_string).collect(),
    };
    let write = |path: &str, content: String| Step::Write {
        path: path.to_owned(),
        content,
    };
    // On a machine with an init system, the package must not start an engine that nobody asked for.
    let mut argv = vec!["env", "RUNLEVEL=1"];
    argv.extend(suite::System::Bookworm.install());
    argv.extend(missing);
    SetupPlan {
        steps: vec![
            // The rank comes first, so that Debian 13 is never preferred to Debian 12.
            write(suite::TRIXIE_RANK, suite::RANK.to_owned()),
            write(suite::TRIXIE_SOURCE, suite::trixie(mirror)),
            run(&["apt-get", "update"]),
            run(&argv),
        ],
        by_hand: Vec::new(),
    }
}
