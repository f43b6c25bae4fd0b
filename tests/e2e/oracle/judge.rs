//! Judges whether the program's keys agree with what BuildKit does, and counts the verdicts.
//!
//! The rule: BuildKit may have cached, and the program may have recorded, every state of a case up
//! to the current one.
//!
//! - If the key is an earlier one, BuildKit must run no step, and must make exactly the image that
//!   it made at that state (same config digest: same layers, same settings, same history). Anything
//!   else is a **false skip**.
//! - If the key is new, that is right if a step ran, or if the image is new by its settings
//!   (`LABEL`, `ENV`, `USER`, … run no step) or by its history alone. Otherwise the key
//!   **changed for nothing**.
//!
//! For some cases the program builds, too. Its image must have the layers of `BuildKit`'s image.
//! Anything else is **another image** than its key says.
//!
//! The share of keys that stayed is taken over the mutations that ran nothing and made an earlier
//! image. A state that BuildKit refuses has no image, so its key does not matter, and the case goes
//! on from the state before it.

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

/// The verdict on one mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Steps ran, and the key is new.
    Rebuilt,
    /// No step ran, but the image has other settings, and the key is new.
    Settings,
    /// No step ran, but the image has another history, and the key is new.
    History,
    /// No step ran, the image is an earlier one, and the key is that of an earlier state.
    Stayed,
    /// No step ran and the image is an earlier one, but the key is new.
    ForNothing,
    /// The key is an earlier one, but a step ran or the image is another.
    FalseSkip,
    /// The program's own build made, or found, another image.
    OtherImage,
    /// `BuildKit` refuses the state.
    Refused,
    /// The program refuses what `BuildKit` builds.
    NotUnderstood,
}

/// Judges one mutation. `own` are the layers of the program's own image, if it built one.
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
