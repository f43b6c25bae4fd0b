//! What a fresh stage may still lack: its image here, or names.

use super::Run;
use super::bring::bring;
use super::turn::Turn;
use crate::fault::Result;
use crate::freshness::planner::Prepared;
use crate::freshness::record::Record;
use crate::graphfile::spec::StageId;
use crate::graphfile::spec::shipping::ImageOutput;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use crate::report::event::Outcome;

impl Run<'_> {
    /// Whether the image of a fresh stage is where it is wanted, or nobody but other stages wants it.
    pub(super) fn is_at_hand(&self, id: StageId, prepared: &Prepared, record: &Record) -> bool {
        let stage = self.work.spec.stage(id);
        let ImagePlace::Registry(_) = record.place() else {
            return true;
        };
        let whole = self.work.spec.whole_id(id);
        let is_wanted = self.wishes.targets.contains(&id) || self.wishes.targets.contains(&whole);
        match stage.shipping.output {
            // The parts of a stage are pulled with it.
            ImageOutput::Engine => !is_wanted || stage.is_part(),
            ImageOutput::Oci => !is_wanted,
            // The index of a stage whose parts others have built may still be missing.
            ImageOutput::Registry => !stage.is_assembled() || prepared.records.has(record),
        }
    }

    /// Does what a fresh stage still lacks: pulls its image, or names it.
    pub(super) fn complete(
        &self,
        id: StageId,
        prepared: &Prepared,
        record: &Record,
    ) -> Result<Turn> {
        if !self.is_at_hand(id, prepared, record) {
            return self.pull(id, prepared, record);
        }
        if self.has_all_names(id, record) {
            return self.fresh(id, record);
        }
        self.name_anew(id, record)
    }

    /// Pulls the image of a fresh stage, names and records it.
    fn pull(&self, id: StageId, prepared: &Prepared, record: &Record) -> Result<Turn> {
        let work = self.work;
        self.refuse_without_index(id)?;
        if work.spec.stage(id).shipping.output == ImageOutput::Engine {
            work.refuse_without_engine()?;
        }
        if work.spec.stage(id).is_assembled() && !prepared.records.has(record) {
            let made_of = work.list(id, prepared, &self.upstream(id), &self.held)?;
            let mut turn = self.assemble(id, record.key, made_of)?;
            turn.outcome = match work.spec.stage(id).shipping.output {
                ImageOutput::Engine | ImageOutput::Oci => Outcome::Pulled,
                ImageOutput::Registry => Outcome::Fresh,
            };
            return Ok(turn);
        }
        if let (ImageOutput::Oci, ImagePlace::Registry(reference)) =
            (work.spec.stage(id).shipping.output, record.place())
        {
            let digest = push::fetch(work.registries()?, &work.layout, &reference, &|_| false)?;
            let record = Record {
                private: ImagePlace::Layout(digest).handle(),
                ..record.clone()
            };
            let made_of = work.list(id, prepared, &self.upstream(id), &self.held)?;
            self.save(id, made_of, &record)?;
            return Ok(Turn::good(Outcome::Pulled, record));
        }
        let brought = bring(work, id, record)?;
        let references = work.spec.stage(id).engine_references();
        for reference in &references {
            self.tag(&brought.reference, reference)?;
        }
        let made_of = work.list(id, prepared, &self.upstream(id), &self.held)?;
        let record = Record {
            image: brought.image.id.clone(),
            private: brought.reference,
            references,
            ..record.clone()
        };
        self.save(id, made_of, &record)?;
        Ok(Turn::good(Outcome::Pulled, record))
    }
}
