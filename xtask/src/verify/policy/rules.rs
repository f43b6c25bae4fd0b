//! The rules, each a function of one image.
//!
//! Every rule says what is wrong in one sentence and what to do in another. Knows images and what a
//! stage promises. Is unaware of severities and waivers, which `mod.rs` lays over the answers.

use std::collections::{BTreeMap, BTreeSet};

use super::content::SECRETS;
use super::subject::{Subject, User};
use crate::report::words;
use crate::spec::policy::{Policy, Rule};
use crate::verify::finding::Origin;
use crate::verify::layers::{Head, Interpreter, Node, shown};
use crate::verify::secrets;

/// A breach, before its severity is known.
#[derive(Debug, Clone)]
pub struct Breach {
    /// Of which rule.
    pub rule: Rule,
    /// The layer's position; `None` for the configuration.
    pub layer: Option<usize>,
    /// The path.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// All breaches of one image, which is to be of this platform.
pub fn breaches(subject: &Subject<'_>, policy: &Policy, platform: Option<&str>) -> Vec<Breach> {
    let mut all = Breaches {
        subject,
        list: Vec::new(),
    };
    all.secrets();
    all.default_keys();
    all.platform(platform);
    all.readable();
    all.root();
    all.writable_path();
    all.budget(policy);
    all.setuid(policy);
    all.tests();
    all.caches();
    all.compilers();
    all.wanted(policy);
    all.list
}

/// Programs that distributions ship with setuid or setgid, and that a user's session needs.
const SETUID: [&str; 17] = [
    "usr/bin/chage",
    "usr/bin/chfn",
    "usr/bin/chsh",
    "usr/bin/expiry",
    "usr/bin/gpasswd",
    "usr/bin/mount",
    "usr/bin/newgrp",
    "usr/bin/passwd",
    "usr/bin/su",
    "usr/bin/umount",
    "usr/sbin/unix_chkpwd",
    "bin/mount",
    "bin/su",
    "bin/umount",
    "sbin/unix_chkpwd",
    "bin/bbsuid",
    "usr/bin/wall",
];

/// Programs that compile. Versions and target names around them are cut off.
const COMPILERS: [&str; 10] = [
    "gcc", "g++", "cc", "c++", "clang", "clang++", "rustc", "go", "javac", "gfortran",
];

/// What package managers keep for a next time that an image never has.
const CACHES: [(&str, &str); 9] = [
    ("var/lib/apt/lists", "apt's lists"),
    ("var/cache/apt/archives", "apt's packages"),
    ("var/cache/apk", "apk's cache"),
    ("root/.cache", "a cache of root's"),
    ("root/.npm", "npm's cache"),
    ("root/.cargo/registry", "cargo's registry"),
    ("usr/local/share/.cache", "yarn's cache"),
    ("var/cache/dnf", "dnf's cache"),
    ("root/go/pkg/mod", "Go's modules"),
];

/// Names of folders that hold tests.
const TESTS: [&[u8]; 4] = [b"tests", b"test", b"__tests__", b"testdata"];

/// What only root reads on purpose, and what belongs to nobody's program.
const ROOTS_OWN: [&str; 17] = [
    "etc/shadow",
    "etc/gshadow",
    "etc/.pwd.lock",
    "etc/sudoers",
    "etc/ssl/private",
    "etc/ssh",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/private",
    "var/log",
    "var/spool",
    "run",
    "tmp",
    "proc",
    "sys",
    "dev",
];

struct Breaches<'s, 'i> {
    subject: &'s Subject<'i>,
    list: Vec<Breach>,
}

impl Breaches<'_, '_> {
    fn add(
        &mut self,
        rule: Rule,
        at: Option<(usize, &[u8])>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.list.push(Breach {
            rule,
            layer: at.map(|(layer, _)| layer),
            path: at.map(|(_, path)| shown(path)),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    fn secrets(&mut self) {
        let subject = self.subject;
        for (at, layer) in subject.image.layers.iter().enumerate() {
            let seen = layer.findings.iter().filter(|seen| seen.rule == SECRETS);
            for found in seen.flat_map(|seen| &seen.found) {
                let entry = layer.table.entry(found.entry as usize);
                let is_live = subject
                    .view
                    .get(entry.path)
                    .is_some_and(|node| node.place.layer == at && node.place.entry == found.entry);
                let gone = if is_live {
                    ""
                } else {
                    "; a later layer removes it, and everybody can still read it in this one"
                };
                let (rule, shape) = split(&found.what);
                self.add(
                    rule,
                    Some((at, entry.path)),
                    format!("the file holds {}{gone}", found.note),
                    repair(
                        shape,
                        "mount it with RUN --mount=type=secret, and revoke it",
                    ),
                );
            }
        }
        let facts = &subject.image.facts;
        let env = facts.env.iter().filter_map(|line| line.split_once('='));
        let labels = facts.labels.iter();
        let settings = env
            .map(|(name, value)| ("the environment", name, value))
            .chain(labels.map(|(name, value)| ("a label", name.as_str(), value.as_str())));
        for (place, name, value) in settings {
            for found in secrets::in_text(name, value) {
                let message = format!("{place} `{name}` holds {} ({})", found.what, found.masked);
                let remedy = repair(
                    found.shape,
                    "give it to the container when it starts, and revoke it",
                );
                self.add(Rule::Secrets, None, message, remedy);
            }
        }
        for found in facts
            .on_build
            .iter()
            .flat_map(|step| secrets::in_text("", step))
        {
            let message = format!("ONBUILD holds {} ({})", found.what, found.masked);
            let remedy = repair(
                found.shape,
                "let whoever builds on it pass it by RUN --mount=type=secret, and revoke it",
            );
            self.add(Rule::Secrets, None, message, remedy);
        }
        let numbers = facts.instructions();
        for (number, step) in facts.history.iter().enumerate() {
            for found in secrets::in_text("", &step.created_by) {
                let layer = numbers.iter().position(|made| *made == Some(number));
                self.list.push(Breach {
                    rule: Rule::Secrets,
                    layer,
                    path: None,
                    message: format!(
                        "the history holds {} ({})",
                        found.what, found.masked
                    ),
                    remedy: repair(
                        found.shape,
                        "pass it by RUN --mount=type=secret, never by ARG or in a command, and revoke it",
                    ),
                });
            }
        }
    }

    fn default_keys(&mut self) {
        let env = self.subject.image.facts.env.iter();
        let env: Vec<(&str, &str)> = env.filter_map(|line| line.split_once('=')).collect();
        for found in secrets::in_environment(&env) {
            let rule = if found.rule == secrets::DEFAULT_KEYS {
                Rule::DefaultKeys
            } else {
                Rule::Secrets
            };
            let message = format!("the environment has {} ({})", found.what, found.masked);
            self.add(
                rule,
                None,
                message,
                "remove it from the image, and give each installation a value of its own",
            );
        }
    }

    fn platform(&mut self, wanted: Option<&str>) {
        let subject = self.subject;
        let facts = &subject.image.facts;
        let variant = facts.variant.as_ref().filter(|text| !text.is_empty());
        let variant = variant.map_or_else(String::new, |variant| format!("/{variant}"));
        let own = format!("{}/{}{variant}", facts.os, facts.architecture);
        let serves = |wanted: &str| {
            crate::dockerfile::normal_platform(wanted) == crate::dockerfile::normal_platform(&own)
        };
        if let Some(wanted) = wanted.filter(|wanted| !serves(wanted)) {
            self.add(
                Rule::Platform,
                None,
                format!("the image says that it is of {own}, and {wanted} was asked for"),
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

    /// The programs that a container starts with: the entry program, what loads it, and what a script
    /// is run by.
    fn programs(&self) -> Vec<Vec<u8>> {
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

    fn readable(&mut self) {
        let subject = self.subject;
        let facts = &subject.image.facts;
        if let User::Unknown(name) = &subject.user {
            self.add(
                Rule::Readable,
                None,
                format!("the user `{name}` is not in the image, so no container of it starts"),
                "add the user in the Dockerfile, or write USER with a number",
            );
            return;
        }
        let name = facts.entrypoint.first().or(facts.cmd.first());
        match name.map(|name| (name, subject.program(name))) {
            None | Some((_, Some(_))) => {}
            Some((name, None)) => self.add(
                Rule::Readable,
                None,
                format!("the entry program `{name}` is not in the image"),
                "copy it, or correct ENTRYPOINT and CMD",
            ),
        }
        for path in self.programs() {
            if !subject.may(&path, 1) {
                let at = subject.view.get(&path).map(|node| node.place.layer);
                self.add(
                    Rule::Readable,
                    at.map(|layer| (layer, &path[..])),
                    format!("{} cannot run it", self.who()),
                    "give it the permission bits 0755, and the folders above it as well",
                );
            }
        }
        let folder = facts.working_dir.trim_matches('/').as_bytes().to_vec();
        if !folder.is_empty()
            && let Some(real) = subject.view.resolve(&folder)
            && subject.view.get(&real).is_some()
            && !subject.may(&real, 5)
        {
            let layer = subject.view.get(&real).map_or(0, |node| node.place.layer);
            self.add(
                Rule::Readable,
                Some((layer, &real)),
                format!("{} cannot enter the working folder", self.who()),
                "give it to the user with --chown, or to all with --chmod=0755",
            );
        }
        self.unreadable_files();
    }

    /// Files that the stage itself added and its user cannot read.
    fn unreadable_files(&mut self) {
        let subject = self.subject;
        let is_own = |node: &Node| subject.made(node).from == Origin::Own;
        let mut by_layer: BTreeMap<usize, (Vec<u8>, usize)> = BTreeMap::new();
        for (path, node) in subject.view.nodes() {
            let entry = subject.view.entry(node.content.unwrap_or(node.place));
            if !is_own(node) || !entry.is_file() || is_roots_own(path) || subject.may(path, 4) {
                continue;
            }
            let first = by_layer
                .entry(node.place.layer)
                .or_insert_with(|| (path.to_vec(), 0));
            first.1 += 1;
        }
        for (layer, (path, count)) in by_layer {
            let more = match count {
                1 => String::new(),
                _ => format!(
                    ", nor {} more of this layer",
                    words::count(count - 1, "file")
                ),
            };
            self.add(
                Rule::Readable,
                Some((layer, &path)),
                format!("{} cannot read the file{more}", self.who()),
                "COPY it with --chown or --chmod, or install it where everybody may read: not below /root",
            );
        }
    }

    fn who(&self) -> String {
        let name = &self.subject.image.facts.user;
        match self.subject.user {
            User::Ids { uid, gid, .. } if name.is_empty() => format!("the user {uid}:{gid}"),
            User::Ids { uid, gid, .. } => format!("the user `{name}` ({uid}:{gid})"),
            User::Unknown(_) => format!("the user `{name}`"),
        }
    }

    fn root(&mut self) {
        if !matches!(self.subject.user, User::Ids { uid: 0, .. }) {
            return;
        }
        let user = &self.subject.image.facts.user;
        let how = if user.is_empty() {
            "no USER is set".to_owned()
        } else {
            format!("USER is `{user}`")
        };
        self.add(
            Rule::Root,
            None,
            format!("its containers run as root: {how}"),
            "end the Dockerfile with USER and a number other than 0",
        );
    }

    fn writable_path(&mut self) {
        let subject = self.subject;
        let mut seen = BTreeSet::new();
        for folder in subject.path() {
            let Some(real) = subject.view.resolve(&folder) else {
                continue;
            };
            self.writable_folder(
                &real,
                0,
                "everybody may write into this folder of PATH",
                &mut seen,
            );
            // Who may write there puts another folder into the place of the one on PATH; where the
            // sticky bit is set, only its owner may.
            let above = real.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            let above: Vec<&[u8]> = above.map(|(end, _)| &real[..end]).collect();
            for folder in above {
                let message = "everybody may write into this folder, which holds one of PATH";
                self.writable_folder(folder, 0o1000, message, &mut seen);
            }
        }
    }

    /// A folder that everybody may write into, unless it has one of these bits.
    fn writable_folder(
        &mut self,
        path: &[u8],
        without: u16,
        message: &str,
        seen: &mut BTreeSet<Vec<u8>>,
    ) {
        let subject = self.subject;
        let Some(node) = subject.view.get(path) else {
            return;
        };
        let entry = subject.view.entry(node.place);
        let is_open = entry.mode & 0o002 != 0 && entry.mode & without == 0;
        if entry.is_folder() && is_open && seen.insert(path.to_vec()) {
            self.add(
                Rule::WritablePath,
                Some((node.place.layer, path)),
                message,
                "take the bit away with chmod o-w, or the folder from PATH",
            );
        }
    }

    fn budget(&mut self, policy: &Policy) {
        let subject = self.subject;
        let sizes: Vec<u64> = subject
            .image
            .layers
            .iter()
            .map(|layer| size(layer))
            .collect();
        let whole: u64 = sizes.iter().sum();
        let made = subject.made.iter();
        let own = made
            .zip(&sizes)
            .filter(|(made, _)| made.from == Origin::Own);
        let own: u64 = own.map(|(_, size)| size).sum();
        let mut over = |what: &str, is: u64, most: Option<u64>, name: &str| {
            let Some(most) = most.filter(|most| is > *most) else {
                return;
            };
            self.list.push(Breach {
                rule: Rule::Budget,
                layer: None,
                path: None,
                message: format!(
                    "{what} {} ({is} bytes), and `{name}` allows {} ({most} bytes)",
                    words::size(is),
                    words::size(most)
                ),
                remedy: "make it smaller, or raise the budget in the graph file".to_owned(),
            });
        };
        over("the image holds", whole, policy.max_size, "max-size");
        over("the stage adds", own, policy.max_added, "max-added");
    }

    fn setuid(&mut self, policy: &Policy) {
        let subject = self.subject;
        let allowed: BTreeSet<&[u8]> = SETUID
            .iter()
            .map(|path| path.as_bytes())
            .chain(policy.setuid.iter().flatten().map(String::as_bytes))
            .collect();
        for (path, node) in subject.view.nodes() {
            let entry = subject.view.entry(node.content.unwrap_or(node.place));
            if entry.is_file() && entry.mode & 0o6000 != 0 && !allowed.contains(path) {
                let bit = if entry.mode & 0o4000 != 0 {
                    "setuid"
                } else {
                    "setgid"
                };
                self.add(
                    Rule::Setuid,
                    Some((node.place.layer, path)),
                    format!("the file has the {bit} bit ({:04o})", entry.mode),
                    "take the bit away with chmod, or list the file in `setuid` of the policy",
                );
            }
        }
    }

    fn tests(&mut self) {
        let is_tests = |path: &[u8]| {
            let mut names = path.split(|byte| *byte == b'/');
            let last = path.rsplit(|byte| *byte == b'/').next();
            // The outermost one only.
            names.find(|name| TESTS.contains(name)) == last
                && last.is_some_and(|name| TESTS.contains(&name))
                && path
                    .split(|byte| *byte == b'/')
                    .filter(|name| TESTS.contains(name))
                    .count()
                    == 1
        };
        self.folders(
            Rule::Tests,
            is_tests,
            "test folder",
            "leave them out with .dockerignore, or remove them in the RUN that installs them",
        );
    }

    /// One breach for each layer with folders of a kind: how many, how large, and the largest.
    fn folders(&mut self, rule: Rule, is_it: impl Fn(&[u8]) -> bool, what: &str, remedy: &str) {
        let subject = self.subject;
        let mut by_layer: BTreeMap<usize, (usize, u64, u64, Vec<u8>)> = BTreeMap::new();
        for (path, node) in subject.view.nodes() {
            let is_folder = subject.view.entry(node.place).is_folder();
            if !is_folder || !is_it(path) || subject.made(node).from == Origin::Base {
                continue;
            }
            let below = subject.view.below(path);
            let bytes: u64 = below
                .map(|(_, node)| subject.view.entry(node.place).size)
                .sum();
            if bytes == 0 {
                continue;
            }
            let all = by_layer.entry(node.place.layer).or_default();
            all.0 += 1;
            all.1 += bytes;
            if bytes > all.2 {
                (all.2, all.3) = (bytes, path.to_vec());
            }
        }
        for (layer, (count, bytes, _, path)) in by_layer {
            self.add(
                rule,
                Some((layer, &path)),
                format!(
                    "{} of {} in it",
                    words::count(count, what),
                    words::size(bytes)
                ),
                remedy,
            );
        }
    }

    fn caches(&mut self) {
        let subject = self.subject;
        for (folder, what) in CACHES {
            let mut by_layer: BTreeMap<usize, u64> = BTreeMap::new();
            for (_, node) in subject.view.below(folder.as_bytes()) {
                let entry = subject.view.entry(node.place);
                *by_layer.entry(node.place.layer).or_default() += entry.size;
            }
            for (layer, bytes) in by_layer.into_iter().filter(|(_, bytes)| *bytes > 0) {
                self.add(
                    Rule::Caches,
                    Some((layer, folder.as_bytes())),
                    format!("{what} are left in the image: {}", words::size(bytes)),
                    "remove it in the RUN that made it, or keep it out with RUN --mount=type=cache",
                );
            }
        }
    }

    fn compilers(&mut self) {
        let subject = self.subject;
        let mut by_layer: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for folder in subject.path() {
            for (path, node) in subject.view.below(&folder) {
                let name = &path[folder.len() + 1..];
                let entry = subject.view.entry(node.content.unwrap_or(node.place));
                let is_program =
                    entry.is_file() && entry.mode & 0o111 != 0 && !name.contains(&b'/');
                if is_program && is_compiler(&String::from_utf8_lossy(name)) {
                    by_layer
                        .entry(node.place.layer)
                        .or_default()
                        .push(path.to_vec());
                }
            }
        }
        for (layer, mut paths) in by_layer {
            paths.sort();
            paths.dedup();
            let names: Vec<String> = paths.iter().take(4).map(|path| shown(path)).collect();
            let path = paths.first().cloned().unwrap_or_default();
            self.add(
                Rule::Compilers,
                Some((layer, &path)),
                format!("compilers are in the image: {}", names.join(", ")),
                "compile in a stage of its own, and copy what it made",
            );
        }
    }

    /// What the graph asks for.
    fn wanted(&mut self, policy: &Policy) {
        let facts = &self.subject.image.facts;
        for label in policy.labels.iter().flatten() {
            if !facts.labels.contains_key(label) {
                let remedy = format!("write it into `labels` of the stage: \"{label}\" = \"…\"");
                self.add(
                    Rule::Labels,
                    None,
                    format!("the label {label} is not set"),
                    remedy,
                );
            }
        }
        for name in policy.env.iter().flatten() {
            if self.subject.variable(name).is_none() {
                let remedy = format!("add ENV {name}=… to the Dockerfile");
                self.add(
                    Rule::Env,
                    None,
                    format!("the variable {name} is not set"),
                    remedy,
                );
            }
        }
        for port in policy.ports.iter().flatten() {
            let whole = if port.contains('/') {
                port.clone()
            } else {
                format!("{port}/tcp")
            };
            if !facts.exposed_ports.contains(&whole) {
                let remedy = format!("add EXPOSE {port} to the Dockerfile");
                self.add(
                    Rule::Ports,
                    None,
                    format!("the port {whole} is not exposed"),
                    remedy,
                );
            }
        }
        if let Some(wanted) = policy
            .entrypoint
            .as_ref()
            .filter(|one| **one != facts.entrypoint)
        {
            let message = format!(
                "the entrypoint is {:?}, and {wanted:?} was asked for",
                facts.entrypoint
            );
            self.add(
                Rule::Entrypoint,
                None,
                message,
                "correct ENTRYPOINT, or the policy",
            );
        }
        let check = facts.healthcheck.as_deref().unwrap_or_default();
        if policy.healthcheck == Some(true) && matches!(check, [] | [_]) {
            self.add(
                Rule::Healthcheck,
                None,
                "no healthcheck is set",
                "add HEALTHCHECK to the Dockerfile",
            );
        }
    }
}

/// The bytes of a layer's files, as often as it has them.
fn size(layer: &crate::verify::layers::Layer) -> u64 {
    layer.table.entries().map(|entry| entry.size).sum()
}

/// The rule and the shape of a finding in a file.
fn split(what: &str) -> (Rule, &str) {
    match what.split_once('/') {
        Some((rule, shape)) if rule == secrets::DEFAULT_KEYS => (Rule::DefaultKeys, shape),
        Some((_, shape)) => (Rule::Secrets, shape),
        None => (Rule::Secrets, what),
    }
}

fn repair(shape: &str, otherwise: &str) -> String {
    let known = secrets::shape(shape);
    known.map_or_else(|| otherwise.to_owned(), |shape| shape.repair.to_owned())
}

fn is_roots_own(path: &[u8]) -> bool {
    let is_below = |folder: &str| {
        path.strip_prefix(folder.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'-')))
    };
    // What a shell or a tool keeps for root alone: `.cache`, `.bashrc`, `.npm`.
    let is_roots_dot = path.strip_prefix(b"root/.").is_some_and(|rest| {
        let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        name != b"local" && name != b"venv"
    });
    is_roots_dot || ROOTS_OWN.iter().any(|folder| is_below(folder))
}

/// `gcc`, `gcc-12`, `x86_64-linux-gnu-gcc-12`.
fn is_compiler(name: &str) -> bool {
    let version = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let base = match name.rsplit_once('-') {
        Some((base, tail)) if version(tail) => base,
        _ => name,
    };
    let last = base.rsplit('-').next().unwrap_or(base);
    COMPILERS.contains(&last) && (last == base || base.contains("linux"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_with_versions_and_targets() {
        for name in [
            "gcc",
            "gcc-12",
            "x86_64-linux-gnu-gcc-12",
            "rustc",
            "go",
            "clang-16",
        ] {
            assert!(is_compiler(name), "{name}");
        }
        for name in [
            "gcc-ar",
            "gccgo-tool",
            "git",
            "goose",
            "ccache",
            "cc-wrapper.sh",
        ] {
            assert!(!is_compiler(name), "{name}");
        }
    }

    #[test]
    fn what_only_root_reads_on_purpose_is_no_breach_and_packages_below_root_are() {
        for path in [
            "etc/shadow",
            "etc/shadow-",
            "root/.cache/x",
            "var/log/x",
            "root/.bashrc",
        ] {
            assert!(is_roots_own(path.as_bytes()), "{path}");
        }
        for path in ["root/.local/lib/x", "root/app/x", "etc/shadowed", "app/x"] {
            assert!(!is_roots_own(path.as_bytes()), "{path}");
        }
    }
}
