//! The cases in which the number of stages or files matters. They run on a stand-in for an engine.

use std::process::Command;

use super::measure::Side;
use super::table::{Row, further_cost};
use super::{Bench, Place, tree};
use crate::fault::Result;

const PLAN: &str = "cargo xtask plan";
const BUILD: &str = "cargo xtask build";
const STAGES: usize = 10_000;
const STAGES_RECIPE: &str = "10,000 stages with 110,000 files (1)";
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// How much time a no-op may take, as a part of ninja's.
const OF_NINJA: f64 = 1.0;
/// Growth counts as linear if a further file costs at most this many times as much among the most
/// files as among fewer. This allows for the processor's caches and the logarithm of a sort.
const LINEAR: f64 = 1.25;
/// How many bytes of memory every process may have, and how many more for each file.
const BASE: u64 = 30_000_000;
const EACH: f64 = 300.0;

impl Bench {
    /// A no-op for many stages.
    pub(super) fn stages(&mut self) -> Result<()> {
        let folder = self.folder.join("stages");
        tree::once(&folder, STAGES_RECIPE, |folder| {
            tree::stages(folder, STAGES)
        })?;
        let stand_in = self.stand_in()?;
        let host = stand_in.host();
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state"),
            host: &host,
            path: Some(stand_in.path()),
        };
        self.settle(&place)?;
        stand_in.save()?;
        let has_ninja = self.has_peer("ninja", "apt-get install ninja-build");
        let mut sides = vec![
            Side::new(BUILD, || self.xtask(&place, &["build"])),
            Side::new(PLAN, || self.xtask(&place, &["plan"])),
        ];
        if has_ninja {
            sides.push(Side::new("ninja", || {
                let mut command = Command::new("ninja");
                command.current_dir(&folder);
                command
            }));
        }
        crate::tell!("stages: {} runs of each", self.runner.runs());
        let measured = self.runner.measure(&sides)?;
        drop(sides);
        let build = Row::ours("stages", BUILD, &measured[0]);
        let plan = Row::ours("stages", PLAN, &measured[1]);
        let beside = measured.get(2).map(|ninja| {
            let row = Row::peer("ninja", ninja, &build, Some(OF_NINJA));
            let ratio = measured[1].times.median() / ninja.times.median();
            let of_plan = Row::derived("stages", "the plan beside it", ratio, "of it", OF_NINJA);
            [row, of_plan]
        });
        self.report.rows.extend([build, plan]);
        self.report.rows.extend(beside.into_iter().flatten());
        Ok(())
    }

    /// More and more files. All sizes take turns, so that other work of the machine disturbs each
    /// of them alike.
    pub(super) fn growth(&mut self) -> Result<()> {
        let stand_in = self.stand_in()?;
        let host = stand_in.host();
        let mut places = Vec::new();
        for size in SIZES {
            let folder = self.folder.join(format!("growth/{size}"));
            tree::once(&folder, &format!("{size} files (1)"), |folder| {
                tree::growing(folder, size)
            })?;
            let place = Place {
                graph: folder.join("build-graph.toml"),
                state: self.folder.join("state"),
                host: &host,
                path: Some(stand_in.path()),
            };
            self.settle(&place)?;
            stand_in.save()?;
            places.push(place);
        }
        let sides: Vec<_> = places
            .iter()
            .map(|place| Side::new(PLAN, || self.xtask(place, &["plan"])))
            .collect();
        crate::tell!("growth: {} runs of each", self.runner.runs());
        let measured = self.runner.measure(&sides)?;
        drop(sides);
        let mut rows: Vec<Row> = SIZES
            .iter()
            .zip(&measured)
            .map(|(size, measured)| Row::ours("growth", format!("{PLAN}, {size} files"), measured))
            .collect();
        let medians: Vec<_> = SIZES
            .into_iter()
            .zip(measured.iter().map(|measured| measured.times.median()))
            .collect();
        let peak = measured.last().map_or(0, |measured| measured.memory);
        let what = "a further file, among the most and among fewer";
        let cost = further_cost(&medians).unwrap_or(f64::NAN);
        let linear = Row::derived("growth", what, cost, "times", LINEAR);
        let last = SIZES[SIZES.len() - 1];
        #[expect(
            clippy::cast_precision_loss,
            reason = "bytes and files are far from 2^52"
        )]
        let each = peak.saturating_sub(BASE) as f64 / last as f64;
        let what = format!("peak memory of {last} files, above 30 MB");
        let memory = Row::derived("growth", what, each, "bytes a file", EACH);
        rows.extend([linear, memory]);
        self.report.rows.extend(rows);
        Ok(())
    }
}
