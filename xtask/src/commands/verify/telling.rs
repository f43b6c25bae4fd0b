//! Gives the answer in all forms that were asked for.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::Session;
use crate::fault::{Fault, Result};
use crate::outside::state;
use crate::verify::finding::Answer;
use crate::verify::told;

impl Session<'_> {
    /// Gives the answer in all forms that were asked for.
    pub(super) fn tell(&self, answer: &Answer) -> Result<()> {
        let spec = &self.work.spec;
        let policies = self.policies();
        let dockerfiles: BTreeMap<&str, String> = self
            .targets
            .iter()
            .map(|id| (self.name(*id), spec.stage(*id).dockerfile.to_string()))
            .collect();
        let write = |path: &camino::Utf8Path, text: &str| {
            state::write_atomically(path, text.as_bytes())
                .map_err(|error| Fault::lacks(format!("cannot write {path}: {error}")))
        };
        if let Some(path) = &self.flags.junit {
            let text = told::junit(answer, &policies).map_err(Fault::failed)?;
            write(path, &text)?;
        }
        if let Some(path) = &self.flags.sarif {
            write(path, &format!("{}\n", told::sarif(answer, &dockerfiles)))?;
        }
        if std::env::var("GITHUB_ACTIONS").as_deref() == Ok("true") {
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
        if self.flags.json {
            super::super::print_json(answer)
        } else {
            super::super::print(&told::table(answer));
            Ok(())
        }
    }
}
