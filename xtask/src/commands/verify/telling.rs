//! Gives the answer in all forms that were asked for.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::Session;
use crate::cli::VerifyArgs;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::StageId;
use crate::graphfile::spec::policy::Policy;
use crate::outside::state;
use crate::shown;
use crate::verify::finding::Answer;
use crate::verify::told;

impl Session<'_> {
    /// Gives the answer in all forms that were asked for.
    pub(super) fn tell(&self, answer: &Answer) -> Result<()> {
        tell(self.work, self.flags, &self.targets, answer)
    }
}

/// The policies of stages, by name.
pub(super) fn policies<'w>(
    work: &'w Workspace,
    targets: &[StageId],
) -> BTreeMap<&'w str, &'w Policy> {
    let stages = targets.iter().map(|id| work.spec.stage(*id));
    stages
        .map(|stage| (stage.name.as_str(), &stage.policy))
        .collect()
}

/// Gives an answer about stages in all forms that were asked for.
pub(super) fn tell(
    work: &Workspace,
    flags: &VerifyArgs,
    targets: &[StageId],
    answer: &Answer,
) -> Result<()> {
    let spec = &work.spec;
    let policies = policies(work, targets);
    let dockerfiles: BTreeMap<&str, String> = targets
        .iter()
        .map(|id| spec.stage(*id))
        .map(|stage| (stage.name.as_str(), stage.dockerfile.to_string()))
        .collect();
    let write = |path: &camino::Utf8Path, text: &str| {
        state::write_atomically(path, text.as_bytes())
            .map_err(|error| Fault::lacks(format!("cannot write {path}: {error}")))
    };
    if let Some(path) = &flags.junit {
        let text = told::junit(answer, &policies).map_err(Fault::failed)?;
        write(path, &text)?;
    }
    if let Some(path) = &flags.sarif {
        write(path, &format!("{}\n", told::sarif(answer, &dockerfiles)))?;
    }
    if shown::actions::are_read() {
        crate::tell!("{}", told::annotations(answer, &dockerfiles).trim_end());
        if let Ok(path) = std::env::var("GITHUB_STEP_SUMMARY") {
            let file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(path);
            let written =
                file.and_then(|mut file| file.write_all(told::summary(answer).as_bytes()));
            if let Err(error) = written {
                crate::tell!("note: the job's summary cannot be written: {error}");
            }
        }
    }
    if flags.json {
        super::super::print_json(answer)
    } else {
        super::super::print(&told::table(answer));
        Ok(())
    }
}
