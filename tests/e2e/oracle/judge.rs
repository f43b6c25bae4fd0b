//! Whether the program's keys and BuildKit's doings agree, and the table of how often.
//!
//! The rule. All states of a case, up to the one at hand, are what BuildKit may have cached, and
//! what the program may have a record of.
//!
//! - The key is one that was there before: then BuildKit must run no step, and must make the very
//!   image that it made at that state (same config digest: same layers, same settings, same
//!   history). Anything else is a **false skip**.
//! - The key is new: right when a step ran, or when the image is one that was not there before, by
//!   its settings (`LABEL`, `ENV`, `USER`, … run no step) or by its history alone. Else the key
//!   **changed for nothing**.
//!
//! For some cases the program builds, too. Its image must have the layers of `BuildKit`'s: anything
//! else is **another image** than its key says.
//!
//! The share of keys that stayed counts the mutations that ran nothing and made an image that was
//! there before. A state that BuildKit refuses has no image, so its key does not matter; the case
//! goes on from the state before it.
//!
//! Is unaware of how states and builds come about.

use std::collections::BTreeMap;
use std::fmt;

use super::builder::Built;
use super::program::Keys;

/// A state that was built.
#[derive(Debug, Clone)]
pub struct Seen {
    pub keys: Keys,
    pub built: Built,
}

/// What is to be said of one mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Steps ran, and the key is new.
    Rebuilt,
    /// No step ran, but the image has other settings, and the key is new.
    Settings,
    /// No step ran, but the image tells another history, and the key is new.
    History,
    /// Nothing new, and the key of the state that made this image.
    Stayed,
    /// Nothing new, but another key.
    ForNothing,
    /// A key from before, but another build.
    FalseSkip,
    /// The program's own build made, or found, another image.
    OtherImage,
    /// `BuildKit` refuses the state.
    Refused,
    /// The program refuses what `BuildKit` builds.
    NotUnderstood,
}

/// `own` are the layers of the program's own image, where it was asked for one.
pub fn judge(before: &[Seen], keys: &Keys, built: &Built, own: Option<&[String]>) -> Verdict {
    let Ok(key) = &keys.plan else {
        return Verdict::NotUnderstood;
    };
    if own.is_some_and(|own| own != built.layers()) {
        return Verdict::OtherImage;
    }
    let skips = |seen: &Seen| {
        let by_folder = keys.folder.is_some() && seen.keys.folder == keys.folder;
        seen.keys.plan.as_ref() == Ok(key) || by_folder
    };
    let is_other = |seen: &Seen| !built.ran.is_empty() || seen.built.image != built.image;
    if before.iter().any(|seen| skips(seen) && is_other(seen)) {
        return Verdict::FalseSkip;
    }
    if before.iter().any(|seen| seen.keys.plan.as_ref() == Ok(key)) {
        return Verdict::Stayed;
    }
    if !built.ran.is_empty() {
        return Verdict::Rebuilt;
    }
    if before.iter().any(|seen| seen.built.image == built.image) {
        return Verdict::ForNothing;
    }
    let is_effect = |seen: &Seen| seen.built.effect == built.effect;
    if before.iter().any(is_effect) {
        Verdict::History
    } else {
        Verdict::Settings
    }
}

/// Verdicts by kind of mutation.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<&'static str, BTreeMap<u8, u64>>);

const COLUMNS: [(Verdict, &str); 9] = [
    (Verdict::Rebuilt, "rebuilt"),
    (Verdict::Settings, "settings"),
    (Verdict::History, "history"),
    (Verdict::Stayed, "stayed"),
    (Verdict::ForNothing, "for nothing"),
    (Verdict::FalseSkip, "FALSE SKIP"),
    (Verdict::OtherImage, "OTHER IMAGE"),
    (Verdict::Refused, "refused"),
    (Verdict::NotUnderstood, "not understood"),
];

impl Table {
    pub fn add(&mut self, kind: &'static str, verdict: Verdict) {
        *self
            .0
            .entry(kind)
            .or_default()
            .entry(verdict as u8)
            .or_default() += 1;
    }

    pub fn count(&self, verdict: Verdict) -> u64 {
        let of_kind = |kind: &BTreeMap<u8, u64>| kind.get(&(verdict as u8)).copied();
        self.0.values().filter_map(of_kind).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22}{:>6}", "mutation", "all")?;
        for (_, name) in COLUMNS {
            write!(f, "{name:>15}")?;
        }
        writeln!(f)?;
        let mut line = |name: &str, of: &dyn Fn(Verdict) -> u64| {
            let all: u64 = COLUMNS.iter().map(|(verdict, _)| of(*verdict)).sum();
            write!(f, "{name:<22}{all:>6}")?;
            for (verdict, _) in COLUMNS {
                match of(verdict) {
                    0 => write!(f, "{:>15}", "-")?,
                    count => write!(f, "{count:>15}")?,
                }
            }
            writeln!(f)
        };
        for (name, kind) in &self.0 {
            line(name, &|verdict| {
                kind.get(&(verdict as u8)).copied().unwrap_or_default()
            })?;
        }
        line("all", &|verdict| self.count(verdict))
    }
}
