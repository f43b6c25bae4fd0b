//! Joins the answers for several platforms into one. Everything that the build of any platform
//! takes counts.

use std::collections::BTreeMap;

use super::need::ContextNeed;
use super::reading::Reading;

/// Joins the answers for several platforms, in their order. `None` if one of them is undecided, or
/// if they differ in more than their needs on contexts, the values that count and the text.
pub fn together(readings: Vec<Reading>) -> Option<Reading> {
    let mut readings = readings.into_iter();
    let mut all = readings.next()?;
    if !all.undecided.is_empty() {
        return None;
    }
    let mut number = 1;
    for other in readings {
        number += 1;
        if !other.undecided.is_empty() || !can_be_joined(&all, &other) {
            return None;
        }
        join(&mut all.context, other.context);
        for (name, need) in other.named {
            join(all.named.entry(name).or_default(), need);
        }
        for required in other.required {
            if !all.required.contains(&required) {
                all.required.push(required);
            }
        }
        join_values(&mut all.args, other.args, number);
        // The texts stay in order: two platforms that swap theirs are another build.
        if all.fingerprint != other.fingerprint {
            all.fingerprint.extend_from_slice(&other.fingerprint);
            all.counted.extend(other.counted);
        }
    }
    all.context.name_each_once();
    all.named.values_mut().for_each(ContextNeed::name_each_once);
    Some(all)
}

/// Whether all parts that cannot be joined are equal.
fn can_be_joined(a: &Reading, b: &Reading) -> bool {
    let same_target = (a.target, a.target_is_last, a.target_is_context)
        == (b.target, b.target_is_last, b.target_is_context)
        && a.target_name == b.target_name;
    let same_images = (&a.syntax, &a.bases, &a.takes, &a.onbuild_unknown)
        == (&b.syntax, &b.bases, &b.takes, &b.onbuild_unknown)
        && (a.bases_complete, a.references_complete) == (b.bases_complete, b.references_complete);
    let same_rest = (&a.triggers, &a.unknown_seen, &a.remotes, &a.secrets, &a.ssh)
        == (&b.triggers, &b.unknown_seen, &b.remotes, &b.secrets, &b.ssh);
    same_target && same_images && same_rest
}

fn join(all: &mut ContextNeed, other: ContextNeed) {
    match (&mut *all, other) {
        (ContextNeed::Whole { .. }, _) | (_, ContextNeed::Nothing) => {}
        (ContextNeed::Paths(needs), ContextNeed::Paths(more)) => needs.extend(more),
        (_, other) => *all = other,
    }
}

/// Adds the values for a further platform. A value that differs gets the name, NUL and a number as
/// its key, like a value that differs at another place of one file.
fn join_values(
    all: &mut BTreeMap<String, Option<String>>,
    other: BTreeMap<String, Option<String>>,
    number: usize,
) {
    for (name, value) in other {
        match all.get(&name) {
            Some(known) if *known == value => {}
            None => drop(all.insert(name, value)),
            Some(_) => drop(all.insert(format!("{name}\0platform {number}"), value)),
        }
    }
}
