//! The programs that a container starts with, and the machine that they are compiled for.

use std::collections::BTreeSet;

use super::Breaches;
use crate::graphfile::spec::policy::Rule;
use crate::verify::layers::{Head, Interpreter};

impl Breaches<'_, '_> {
    pub(super) fn platform(&mut self, wanted: Option<&str>) {
        let subject = self.subject;
        let facts = &subject.image.facts;
        let variant = facts.variant.as_ref().filter(|text| !text.is_empty());
        let variant = variant.map_or_else(String::new, |variant| format!("/{variant}"));
        let own = format!("{}/{}{variant}", facts.os, facts.architecture);
        let serves =
            |wanted: &str| reference::platform::normal(wanted) == reference::platform::normal(&own);
        if let Some(wanted) = wanted.filter(|wanted| !serves(wanted)) {
            self.add(
                Rule::Platform,
                None,
                format!("the image is marked as {own}, but {wanted} was asked for"),
                "build it from a base that has this platform",
            );
        }
        let Some(machine) = machine(&facts.architecture) else {
            return;
        };
        let mut seen = BTreeSet::new();
        let programs = self.programs().into_iter();
        let shell = subject.view.resolve(b"bin/sh");
        for path in programs.chain(shell) {
            let Some(node) = subject.view.get(&path) else {
                continue;
            };
            let entry = subject.view.entry(node.content.unwrap_or(node.place));
            let is_other =
                matches!(entry.head, Some(Head::Elf { machine: of, .. }) if *of != machine);
            if is_other && seen.insert(path.clone()) {
                let Some(Head::Elf { machine: of, .. }) = entry.head else {
                    continue;
                };
                self.add(
                    Rule::Platform,
                    Some((node.place.layer, &path)),
                    format!(
                        "the program is compiled for {}, and the image is of {own}",
                        architecture(*of)
                    ),
                    "copy or compile the program of the target platform: see TARGETARCH",
                );
            }
        }
    }

    /// The programs that a container starts with: the entry program, its loader, and the
    /// interpreter of a script.
    pub(super) fn programs(&self) -> Vec<Vec<u8>> {
        let facts = &self.subject.image.facts;
        let name = facts.entrypoint.first().or(facts.cmd.first());
        let mut next = name.and_then(|name| self.subject.program(name));
        let mut all = Vec::new();
        while let Some(path) = next.take() {
            if all.contains(&path) {
                break;
            }
            next = self.loader(&path);
            all.push(path);
        }
        all
    }

    fn loader(&self, path: &[u8]) -> Option<Vec<u8>> {
        let node = self.subject.view.get(path)?;
        let entry = self.subject.view.entry(node.content.unwrap_or(node.place));
        let name = match entry.head? {
            Head::Elf {
                interpreter: Interpreter::Path(name),
                ..
            } => name,
            Head::Script { interpreter } => interpreter,
            Head::Elf { .. } => return None,
        };
        let name = String::from_utf8_lossy(name).into_owned();
        self.subject.program(&name)
    }
}

/// `e_machine` of an architecture (the ELF specification's registry).
fn machine(architecture: &str) -> Option<u16> {
    MACHINES
        .iter()
        .find(|(name, _)| *name == architecture)
        .map(|(_, machine)| *machine)
}

fn architecture(machine: u16) -> String {
    let known = MACHINES.iter().find(|(_, number)| *number == machine);
    known.map_or_else(
        || format!("machine {machine}"),
        |(name, _)| (*name).to_owned(),
    )
}

const MACHINES: [(&str, u16); 9] = [
    ("amd64", 62),
    ("arm64", 183),
    ("386", 3),
    ("arm", 40),
    ("ppc64le", 21),
    ("s390x", 22),
    ("riscv64", 243),
    ("mips64le", 8),
    ("loong64", 258),
];
