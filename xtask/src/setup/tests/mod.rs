//! Invented machines.

mod found;
mod to_do;

use super::check::check;
use super::facts::{Emulation, EngineFacts, Facts, Init, Os, StoreFacts, UserFacts};
use super::finding::{Level, MachineFinding};
use super::needs::Needs;
use super::plan::{SetupPlan, Step, plan};
use super::version::version;

/// A machine on which everything is as it should be.
fn good() -> Facts {
    Facts {
        os: os("debian", "12"),
        machine: "x86_64".into(),
        memory: Some(8_000_000_000),
        disk: Some(super::facts::Disk {
            folder: "/var/lib/docker".into(),
            free: 50_000_000_000,
        }),
        user: UserFacts {
            is_root: true,
            name: "root".into(),
            has_sudo: false,
        },
        init: Init::Nothing,
        address: "unix:///var/run/docker.sock".into(),
        address_is_default: true,
        engine: EngineFacts::Answers {
            version: "26.1.5+dfsg1".into(),
            store: StoreFacts::Containerd,
        },
        has_dockerd: true,
        has_cgroups: true,
        docker: Some("26.1.5".into()),
        buildx: Some("0.13.1+ds1".into()),
        compose: Some("2.26.1-4".into()),
        git: Some("2.39.5".into()),
        builder: Some(Ok(vec!["linux/amd64".into()])),
        clock: Some(0),
        debian_mirror: Some("http://deb.example/debian".into()),
        ..Facts::default()
    }
}

/// The good machine without anything of Docker.
fn bare() -> Facts {
    Facts {
        engine: EngineFacts::Silent("no such file".into()),
        has_dockerd: false,
        docker: None,
        buildx: None,
        compose: None,
        git: None,
        builder: None,
        ..good()
    }
}

fn os(id: &str, version: &str) -> Os {
    Os {
        kind: "linux".into(),
        id: id.into(),
        like: Vec::new(),
        version: version.into(),
        name: format!("{id} {version}"),
    }
}

fn planned(facts: &Facts, needs: &Needs) -> SetupPlan {
    plan(facts, &check(facts, needs))
}

fn steps(facts: &Facts) -> Vec<String> {
    let plan = planned(facts, &Needs::default());
    plan.steps.iter().map(ToString::to_string).collect()
}

fn one<'f>(findings: &'f [MachineFinding], check: &str) -> &'f MachineFinding {
    findings
        .iter()
        .find(|finding| finding.check == check)
        .unwrap()
}

fn level(facts: &Facts, needs: &Needs, name: &str) -> Level {
    one(&check(facts, needs), name).level
}

/// How a check ends on a good machine after one change.
fn after(change: impl Fn(&mut Facts), needs: &Needs, name: &str) -> Level {
    let mut facts = good();
    change(&mut facts);
    level(&facts, needs, name)
}
