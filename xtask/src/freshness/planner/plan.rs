//! The verdicts of all wanted stages at once.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::{Assessment, ImageCache, Workspace};
use crate::fault::Result;
use crate::freshness::pins;
use crate::graphfile::graph::Graph;
use crate::graphfile::spec::StageId;

impl Workspace {
    /// The plan: every wanted stage's verdict, in build order.
    pub fn plan(
        &self,
        wanted: &[StageId],
        forced: impl Fn(StageId) -> bool + Sync,
    ) -> Result<Vec<Assessment>> {
        let (prepared, images) = self.prepare(wanted)?;
        let held = ImageCache::new(images);
        let mut plan: BTreeMap<usize, Assessment> = BTreeMap::new();
        let mut upstream = BTreeMap::new();
        // The upstream of a row is in the rows before it.
        for row in rows(&self.graph, wanted) {
            let assess = |(at, id): (usize, StageId)| {
                let prepared = prepared.get(&id)?;
                let own = self.assess(id, prepared, &upstream, &held, forced(id));
                Some(own.map(|own| (at, own)))
            };
            let all = || row.into_par_iter().filter_map(assess).collect();
            // Answers of a registry are waited for, so more threads than cores ask.
            let assessed: Vec<_> = if self.spec.registry.is_some() {
                pins::at_once(all)
            } else {
                all()
            };
            for own in assessed {
                let (at, own) = own?;
                upstream.insert(own.id, own.upstream());
                plan.insert(at, own);
            }
        }
        // The process ends with its answer. Freeing the memory of ten thousand stages piece by
        // piece would take longer than their verdicts.
        std::mem::forget((prepared, held));
        Ok(plan.into_values().collect())
    }
}

/// The wanted stages, with their places in build order, in rows. Each stage stands only on stages
/// of earlier rows.
fn rows(graph: &Graph, wanted: &[StageId]) -> Vec<Vec<(usize, StageId)>> {
    let mut row_of: HashMap<StageId, usize> = HashMap::with_capacity(wanted.len());
    let mut rows: Vec<Vec<(usize, StageId)>> = Vec::new();
    for (at, id) in wanted.iter().enumerate() {
        let below = graph.parents(*id).filter_map(|parent| row_of.get(&parent));
        let row = below.max().map_or(0, |row| row + 1);
        row_of.insert(*id, row);
        if row == rows.len() {
            rows.push(Vec::new());
        }
        rows[row].push((at, *id));
    }
    rows
}
