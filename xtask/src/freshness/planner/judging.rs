//! The verdict of one stage, from its summary and what is around it.

use std::collections::BTreeMap;

use super::undecided::undecided;
use super::{Assessment, Gathered, ImageCache, Prepared, StageSummary, Upstream, Workspace};
use super::{gathering, left_out};
use crate::fault::Result;
use crate::freshness::key;
use crate::freshness::record::Record;
use crate::freshness::stage_inputs::StageInputs;
use crate::freshness::verdict::{self, Reason, ReasonKind, Verdict};
use crate::graphfile::spec::StageId;

/// A note on the proxies of `args` that do not count, if there are any.
pub fn uncounted(stage_inputs: &StageInputs) -> Option<String> {
    let names = stage_inputs.uncounted.join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "{names} of `args` can change without a build, as the Dockerfile does not declare it: RUN sees the value, \
             but BuildKit's cache ignores it, too; declare it with `ARG` in the Dockerfile to make it count"
        )
    })
}

/// Gives the ingredients of a key, given what is around.
type List<'l> = Option<&'l dyn Fn(&key::Around) -> Vec<key::Ingredient>>;

impl Workspace {
    /// The verdict of one stage whose upstream is in `upstream`. Answers of the engine that are
    /// missing in `held` are added to it. A remembered summary is enough to call a stage fresh. For
    /// any other verdict its trees are read.
    pub fn assess(
        &self,
        id: StageId,
        prepared: &Prepared,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
        forced: bool,
    ) -> Result<Assessment> {
        if let Some(summary) = prepared.remembered() {
            let own = self.assess_known(id, prepared, summary, upstream, held, forced, None)?;
            if matches!(own.verdict, Verdict::Fresh(_)) {
                return Ok(own);
            }
        }
        match prepared.gathered(self, id) {
            Ok(Gathered::PrepareFirst(due)) => {
                self.lacking_tools(due.of)
                    .into_iter()
                    .for_each(|note| self.warn(note));
                let was_built = prepared.records.last().is_some();
                Ok(Assessment::unprepared(id, due, was_built))
            }
            Ok(Gathered::Lent(summary, stage_inputs, _)) => {
                let list = |around: &key::Around| self.list_of(id, stage_inputs, around);
                let list: List<'_> = Some(&list);
                self.assess_known(id, prepared, summary, upstream, held, forced, list)
            }
            Ok(Gathered::Assembled(summary)) => {
                let list = |around: &key::Around| self.list_of_assembled(id, around);
                let list: List<'_> = Some(&list);
                self.assess_known(id, prepared, summary, upstream, held, forced, list)
            }
            Ok(Gathered::Read(summary, stage_inputs)) => {
                let list = |around: &key::Around| self.list_of(id, stage_inputs, around);
                let list: List<'_> = Some(&list);
                let own = self.assess_known(id, prepared, summary, upstream, held, forced, list)?;
                if !matches!(own.verdict, Verdict::Fresh(_)) {
                    let unlinked = self.unlinked(id, summary).into_iter();
                    unlinked.for_each(|(_, note)| self.warn(note));
                    let name = &self.spec.stage(id).name;
                    let lines = stage_inputs.unreadable();
                    lines.for_each(|line| {
                        self.warn(format!("`{name}` counts all of its context: {line}"))
                    });
                    // A build fails with these words.
                    let absent = stage_inputs.absent.iter();
                    let absent = absent.filter(|_| self.is_building.get().is_none());
                    absent
                        .for_each(|it| self.warn(format!("`{name}` cannot be built: {}", it.told)));
                    uncounted(stage_inputs)
                        .into_iter()
                        .for_each(|note| self.warn(note));
                    let unused = stage_inputs.unused.iter().cloned();
                    unused.for_each(|note| self.warn(note));
                }
                Ok(own)
            }
            Err(fault) => Err(fault.clone()),
        }
    }

    /// `list` gives the ingredients of the key, if they are known.
    #[expect(clippy::too_many_arguments, reason = "all that a verdict hangs on")]
    fn assess_known(
        &self,
        id: StageId,
        prepared: &Prepared,
        summary: &StageSummary,
        upstream: &BTreeMap<StageId, Upstream>,
        held: &ImageCache,
        forced: bool,
        list: List<'_>,
    ) -> Result<Assessment> {
        let stage = self.spec.stage(id);
        self.check_platforms(id, summary)?;
        let bases = self.base_digests(summary, held)?;
        let around = gathering::around((&self.spec, id), summary, bases, upstream, self.epoch(id)?);
        let key = key::key(summary.own, &around);
        let references = stage.engine_references();
        let unbuilt = summary
            .parents()
            .any(|(_, parent)| matches!(upstream.get(&parent), Some(Upstream::Unbuilt(_))));
        let made_of = std::cell::OnceCell::new();
        let list = || made_of.get_or_init(|| list.map_or_else(Vec::new, |list| list(&around)));
        let compare = |record: &Record| {
            let before = self.store.made_of(&stage.name, record.key);
            let mut reason = verdict::differences(before.as_deref(), list());
            left_out::mark(&self.spec, stage, &mut reason);
            reason
        };
        let verdict = if forced {
            Verdict::Stale(Reason::plain(ReasonKind::Forced))
        } else if unbuilt {
            let compared = prepared.records.all().map(compare).collect();
            undecided(self, upstream, summary, compared)
        } else {
            let rank = |record: &Record| self.rank_of_place(stage, record);
            let place = verdict::WantedPlace {
                name: self.wanted_place(stage),
                rank: &rank,
            };
            for record in place.of(&prepared.records, key) {
                let asked = std::iter::once(&record.private).chain(&references);
                held.ask_for(self, asked)?;
            }
            let images = held.images();
            let verdict = verdict::decide(
                key,
                &references,
                &prepared.records,
                &place,
                &images,
                compare,
            );
            if let Verdict::Fresh(record) = &verdict {
                let new = references.iter();
                let new = new.filter(|reference| verdict::is_new(record, reference, &images));
                new.for_each(|reference| {
                    self.warn(format!("`{}` gets the new name {reference}", stage.name))
                });
            }
            match verdict {
                Verdict::Stale(reason) => match self.shared_record(id, key, upstream)? {
                    Some(record) => Verdict::Fresh(record),
                    None => Verdict::Stale(reason),
                },
                other => other,
            }
        };
        // If a build is needed anyway, its own reason is the better one.
        let verdict = match self.unfollowed(summary, held)? {
            Some(change) if verdict.has_image() => Verdict::Stale(Reason::of(vec![change])),
            _ => verdict,
        };
        let made_of = match verdict {
            Verdict::Fresh(_) => Vec::new(),
            _ => {
                self.check_platforms_to_plan(id, summary, held)?;
                list();
                made_of.into_inner().unwrap_or_default()
            }
        };
        Ok(Assessment {
            id,
            key: Some(key),
            verdict,
            made_of,
            inputs: summary.inputs,
            input_bytes: summary.input_bytes,
        })
    }
}
