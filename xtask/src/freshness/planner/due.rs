//! Which host command must run before a stage can be judged.
//!
//! A stage waits for its own host command. It also waits for that of any other stage that writes to
//! what this one reads, whether the graph connects the two or not. `prepare` runs host commands.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Workspace;
use crate::contexts::Tracer;
use crate::fault::{Fault, Result};
use crate::freshness::prepare;
use crate::freshness::prepare::lending::MadeByCommand;
use crate::freshness::stage_inputs::{self, StageInputs};
use crate::freshness::verdict::{Change, Changed, Reason};
use crate::graphfile::outputs::{Outputs, owner};
use crate::graphfile::source;
use crate::graphfile::spec::StageId;
use crate::setup::{gather, tools};

/// A host command that must run before anything else is known of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The stage under which the command is known.
    pub of: StageId,
    /// Whether it is the own command of the stage that waits.
    pub is_own: bool,
    /// Why it must run.
    pub reason: Reason,
}

/// What is known of a stage's inputs.
pub(super) enum InputsOrDue {
    /// The inputs.
    Inputs(StageInputs),
    /// The inputs with what a host command would make, as somebody has shared it. The files
    /// themselves are not there yet.
    Lent(StageInputs, Due),
    /// A host command must run first.
    Due(Due),
}

/// A search through the host commands that one stage waits for.
struct Search<'s> {
    work: &'s Workspace,
    /// The stage that was asked for.
    asking: StageId,
    outputs: &'s Outputs,
    tracer: &'s Tracer<'s>,
    /// The way from the stage that was asked for. Each stage comes with its output that the stage
    /// before reads.
    way: Vec<(StageId, Option<Utf8PathBuf>)>,
    /// The stages whose host commands need not run.
    done: BTreeSet<StageId>,
    /// The host commands whose shared results stand in for their outputs.
    lent: Vec<(Due, MadeByCommand)>,
}

impl Workspace {
    /// A note on what a stage's host command needs and this machine lacks, with what brings it.
    pub fn lacking_tools(&self, of: StageId) -> Option<String> {
        let stage = self.spec.stage(of);
        let prepare = stage.prepare.as_ref()?;
        // Finding out what the system is reads files, for a sentence that is seldom needed.
        if tools::lacking(&prepare.needs).is_empty() {
            return None;
        }
        let told = tools::told(&prepare.needs, gather::system())?;
        Some(format!("the host command of `{}` needs {told}", stage.name))
    }

    /// The inputs of a stage, unless a host command must run first. `tracer` records everything
    /// that either answer depends on.
    pub(super) fn inputs_or_due(&self, id: StageId, tracer: &Tracer<'_>) -> Result<InputsOrDue> {
        let outputs = self.outputs.get_or_init(|| Outputs::of(&self.spec));
        let own = self
            .spec
            .stage(id)
            .prepare
            .as_ref()
            .map(|_| owner(&self.spec, id));
        let mut search = Search {
            work: self,
            asking: id,
            outputs,
            tracer,
            way: Vec::new(),
            done: BTreeSet::new(),
            lent: Vec::new(),
        };
        if let Some(own) = own
            && let Some(due) = search.due(own, None)?
        {
            return Ok(InputsOrDue::Due(due.asked_by(self, own)));
        }
        let stage_inputs = stage_inputs::gather(&self.spec, id, self.engine.platform(), tracer);
        // What the stage reads decides this, not which folders it is given: a COPY may take little
        // of a folder.
        let makers = match &stage_inputs {
            Ok(stage_inputs) => outputs.seen_by(tracer, &stage_inputs.trees(), own),
            Err(_) => outputs.near(&stage_inputs::places(&self.spec, id), own),
        };
        for (of, output) in makers {
            match search.due(of, Some(output)) {
                Ok(Some(due)) => {
                    let own = own.unwrap_or(id);
                    return Ok(InputsOrDue::Due(due.asked_by(self, own)));
                }
                Err(fault) if stage_inputs.is_ok() => return Err(fault),
                Ok(None) | Err(_) => {}
            }
        }
        let Some(first) = search.lent.first().map(|(due, _)| due.clone()) else {
            return Ok(InputsOrDue::Inputs(stage_inputs?));
        };
        let due = first.asked_by(self, own.unwrap_or(id));
        // Another tracer sees what this reading alone looks at.
        let states = self.state.beside().as_std_path();
        let seen = Tracer::forgetful(&self.cache).beside(states);
        for (_, lent) in &search.lent {
            seen.stand_in(lent.folder.as_std_path(), &lent.outputs, &lent.entries);
        }
        Ok(
            match stage_inputs::gather(&self.spec, id, self.engine.platform(), &seen) {
                // Only entries of contexts can stand in. A Dockerfile or an ignore file is read as
                // it is there, and so is the list of a folder that is missing.
                Ok(mut stage_inputs) if !seen.has_looked_behind_stand_ins() => {
                    // Where a file would be missing, what stands in for it was not looked at.
                    stage_inputs.absent.clear();
                    InputsOrDue::Lent(stage_inputs, due)
                }
                _ => InputsOrDue::Due(due),
            },
        )
    }
}

impl Search<'_> {
    /// The first command that must run, among a host command and those that write to what it reads.
    fn due(&mut self, of: StageId, output: Option<&Utf8Path>) -> Result<Option<Due>> {
        let output = output.map(Utf8Path::to_owned);
        if let Some(start) = self.way.iter().position(|(on_way, _)| *on_way == of) {
            return Err(self.cycle(start, output.as_deref()));
        }
        if self.done.contains(&of) {
            return Ok(None);
        }
        let (spec, outputs) = (&self.work.spec, self.outputs);
        let stage = spec.stage(of);
        let roots = prepare::roots(spec, stage);
        if roots
            .iter()
            .any(|root| outputs.has_others_near(root, Some(of)))
        {
            let seen = Tracer::forgetful(&self.work.cache);
            let looked = prepare::look(spec, stage, &seen);
            let makers = match &looked {
                Ok(ignore) => {
                    let trees: Vec<_> = roots.iter().map(|root| (root.as_path(), ignore)).collect();
                    outputs.seen_by(&seen, &trees, Some(of))
                }
                Err(_) => outputs.near(&roots, Some(of)),
            };
            self.way.push((of, output));
            for (maker, output) in makers {
                if let Some(due) = self.due(maker, Some(output))? {
                    return Ok(Some(due));
                }
            }
            self.way.pop();
            looked?;
        }
        let reason = prepare::must_run(spec, stage, &self.work.state, self.tracer)?;
        self.done.insert(of);
        let due = reason.map(|reason| Due {
            of,
            is_own: true,
            reason,
        });
        match due {
            None => Ok(None),
            Some(due) => match self.work.lent(of, self.asking, self.tracer)? {
                Some(lent) => {
                    let folder = lent.folder.as_std_path();
                    self.tracer.stand_in(folder, &lent.outputs, &lent.entries);
                    self.lent.push((due, lent));
                    Ok(None)
                }
                None => Ok(Some(due)),
            },
        }
    }

    /// The fault of host commands that wait for each other. Each one on the way makes what the one
    /// before it reads, from the one at `start` back to the same one. `output` is the output of
    /// that one which the last one on the way reads.
    fn cycle(&self, start: usize, output: Option<&Utf8Path>) -> Fault {
        let spec = &self.work.spec;
        let name = |of: StageId| spec.stage(of).name.as_str();
        let round = &self.way[start..];
        let first = round.first().map_or(StageId(0), |(of, _)| *of);
        let names = round.iter().map(|(of, _)| *of).chain([first]);
        let names: Vec<&str> = names.map(name).collect();
        // The output that the first one reads.
        let read = round.get(1).map_or(output, |(_, output)| output.as_deref());
        let read = read.unwrap_or(Utf8Path::new(""));
        let stage = spec.stage(first);
        let roots = prepare::roots(spec, stage).into_iter();
        let mut within = roots.filter_map(|root| read.strip_prefix(root).ok());
        let pattern = within.next_back().unwrap_or(read);
        Fault::usage(format!(
            "{}: host commands wait for each other: {} (each reads what the next one makes): \
             if the one of `{}` does not need `{pattern}`, write `ignore = [\"{pattern}\"]` into its `prepare`",
            spec.file,
            names.join(" -> "),
            stage.name
        ))
    }
}

impl Due {
    /// This, as seen by the stage that asked, whose own host command is known under `own`.
    fn asked_by(mut self, work: &Workspace, own: StageId) -> Self {
        self.is_own = self.of == own;
        if !self.is_own {
            let whose = Change::unknown(Changed::HostCommand, &work.spec.stage(self.of).name);
            self.reason.changes.insert(0, whose);
        }
        self
    }
}

/// Whether a stage's Dockerfile does not exist yet and a host command may make it.
pub(super) fn is_yet_to_be_made(work: &Workspace, id: StageId) -> bool {
    let stage = work.spec.stage(id);
    let outputs = work.outputs.get_or_init(|| Outputs::of(&work.spec));
    source::root(&work.spec, stage.source).is_ok_and(|root| {
        let dockerfile = root.join(source::dockerfile(&root, &stage.dockerfile));
        !dockerfile.exists() && (stage.prepare.is_some() || outputs.make(&dockerfile))
    })
}
