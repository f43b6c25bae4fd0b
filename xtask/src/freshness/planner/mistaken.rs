//! Everything that is wrong with a graph and with what its stages are built from, in one message.

use std::collections::{BTreeSet, HashMap};

use super::{Gathered, Prepared};
use crate::contexts::{StatCache, Tracer};
use crate::fault::{Class, Fault, Message, Result};
use crate::freshness::stage_inputs;
use crate::graphfile::graph::Graph;
use crate::graphfile::lock::Lock;
use crate::graphfile::source;
use crate::graphfile::spec::{Partial, RefusedGraph, StageId};
use crate::outside::state::State;

/// How many faults are shown. Nobody reads more.
const MOST_SHOWN: usize = 50;

/// Refuses stages whose trees cannot be read, with what is wrong with each of them.
pub(super) fn refuse_unreadable(
    wanted: &[StageId],
    prepared: &HashMap<StageId, Prepared>,
) -> Result<()> {
    let read = || wanted.iter().filter_map(|id| prepared.get(id)?.read());
    let mut faults: Vec<Fault> = read()
        .filter_map(|read| read.as_ref().err().cloned())
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    // By themselves these fail only when BuildKit sees them.
    for read in read() {
        if let Ok(Gathered::Read(_, inputs)) = read {
            faults.extend(inputs.unreadable().map(Fault::usage));
        }
    }
    together(faults).map_or(Ok(()), Err)
}

/// The mistakes of a graph file that cannot be used, with a cycle among its stages and with what is
/// wrong with the folders and Dockerfiles of those that can be read.
pub(super) fn all(refused: RefusedGraph) -> Fault {
    let RefusedGraph { fault, partial } = refused;
    let Some(partial) = partial else {
        return fault;
    };
    let Partial { mut spec, sound } = *partial;
    let cycle = Graph::of(&spec).err().filter(|cycle| *cycle != fault);
    let mut faults = vec![fault];
    faults.extend(cycle);
    if let (Ok(state), Ok(lock)) = (State::of(&spec.file), Lock::beside(&spec.file)) {
        source::find(&mut spec, &state, &lock);
        let cache = StatCache::in_memory();
        let tracer = Tracer::forgetful(&cache);
        // What a parent or a host command would give is not known here.
        let is_plain = |id: &&StageId| {
            let stage = spec.stage(**id);
            stage.prepare.is_none() && !stage.is_assembled() && stage.stands_on().is_empty()
        };
        let looked = sound.iter().filter(is_plain);
        let looked = looked.filter_map(|id| {
            Some(match stage_inputs::gather(&spec, *id, None, &tracer) {
                Ok(inputs) => inputs.unreadable().map(Fault::usage).collect(),
                Err(fault) if fault.class == Class::Usage => vec![fault],
                Err(_) => return None,
            })
        });
        faults.extend(looked.flatten().collect::<Vec<Fault>>());
    }
    together(faults).unwrap_or_else(|| Fault::told(Class::Usage))
}

/// Several faults as one, each said once. `None` if there are none.
fn together(faults: Vec<Fault>) -> Option<Fault> {
    let mut said = BTreeSet::new();
    let mut faults: Vec<Fault> = faults
        .into_iter()
        .filter(|fault| said.insert(fault.message.to_string()))
        .collect();
    if faults.len() < 2 {
        return faults.pop();
    }
    let is_usage = |fault: &&Fault| fault.class == Class::Usage;
    let class = faults.iter().find(is_usage).or(faults.first())?.class;
    let told = faults.iter().take(MOST_SHOWN).filter_map(Fault::lines);
    let mut text = told.collect::<Vec<_>>().join("\n\n");
    if let Some(more) = faults
        .len()
        .checked_sub(MOST_SHOWN)
        .filter(|more| *more > 0)
    {
        text.push_str(&format!("\n\n{more} more like these are not shown"));
    }
    Some(Fault {
        class,
        message: Message::Say(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_faults_are_told_together_and_each_once() {
        let [one, other] = [Fault::lacks("no git"), Fault::usage("no folder a")];
        assert_eq!(together(Vec::new()), None);
        assert_eq!(together(vec![one.clone(), one.clone()]), Some(one.clone()));
        let both = together(vec![one, other]).unwrap();
        assert_eq!(both.class, Class::Usage);
        let lines = both.lines();
        assert_eq!(
            lines.as_deref(),
            Some("error: no git\n\nerror: no folder a")
        );
    }

    #[test]
    fn no_more_are_told_than_somebody_reads() {
        let many = (0..60).map(|at| Fault::usage(format!("no folder {at}")));
        let told = together(many.collect()).unwrap().message;
        assert_eq!(told.matches("no folder").count(), MOST_SHOWN);
        assert!(told.ends_with("10 more like these are not shown"), "{told}");
    }
}
