//! The DAG of stages.
//!
//! Knows which stage uses whose image, the order that follows, and the closure of a
//! wish over it. Is unaware of files, keys and the engine.

use std::collections::{BTreeSet, HashMap, HashSet};

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::Dfs;
use petgraph::{Direction, visit::Reversed};

use crate::fault::{Fault, Result};
use crate::spec::{Spec, StageId};

/// The stages with an edge from every stage to those that use its image. It has no cycle.
#[derive(Debug)]
pub struct Graph {
    edges: DiGraph<StageId, ()>,
    order: Vec<StageId>,
}

impl Graph {
    /// Builds the graph; a cycle is a fault that prints its whole path.
    pub fn of(spec: &Spec) -> Result<Self> {
        let mut edges = DiGraph::with_capacity(spec.stages.len(), spec.stages.len());
        for id in spec.ids() {
            edges.add_node(id);
        }
        for id in spec.ids() {
            for parent in spec.stage(id).upstream() {
                edges.add_edge(node(parent), node(id), ());
            }
        }
        match toposort(&edges, None) {
            Ok(nodes) => {
                let order = nodes.into_iter().map(|at| edges[at]).collect();
                Ok(Self { edges, order })
            }
            Err(_) => Err(cycle(spec, &edges)),
        }
    }

    /// Every stage after all those whose images it uses.
    pub fn order(&self) -> &[StageId] {
        &self.order
    }

    /// The stages whose images `id` uses.
    pub fn parents(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.neighbours(id, Direction::Incoming)
    }

    /// The stages that use the image of `id`.
    pub fn children(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.neighbours(id, Direction::Outgoing)
    }

    fn neighbours(&self, id: StageId, direction: Direction) -> impl Iterator<Item = StageId> + '_ {
        self.edges
            .neighbors_directed(node(id), direction)
            .map(|at| self.edges[at])
    }

    /// The targets and everything they stand on, in build order; all stages when no target is named.
    pub fn closure(&self, targets: &[StageId]) -> Vec<StageId> {
        if targets.is_empty() {
            return self.order.clone();
        }
        let upwards = Reversed(&self.edges);
        let mut wanted = HashSet::new();
        for target in targets {
            let mut walk = Dfs::new(upwards, node(*target));
            while let Some(at) = walk.next(upwards) {
                wanted.insert(self.edges[at]);
            }
        }
        self.order
            .iter()
            .copied()
            .filter(|id| wanted.contains(id))
            .collect()
    }
}

fn node(id: StageId) -> NodeIndex {
    NodeIndex::new(id.index())
}

/// Names one cycle, from its first stage in the order of names back to itself.
fn cycle(spec: &Spec, edges: &DiGraph<StageId, ()>) -> Fault {
    // The other algorithm recurses as deep as the cycle is long.
    let components = kosaraju_scc(edges);
    let knot: BTreeSet<StageId> = components
        .iter()
        .filter(|component| component.len() > 1 || edges.contains_edge(component[0], component[0]))
        .map(|component| {
            component
                .iter()
                .map(|at| edges[*at])
                .collect::<BTreeSet<_>>()
        })
        .min()
        .unwrap_or_default();
    let mut path: Vec<StageId> = knot.first().copied().into_iter().collect();
    let mut places: HashMap<StageId, usize> = path.iter().map(|id| (*id, 0)).collect();
    // Within a knot every stage stands on another of it, so the walk must meet itself.
    while let Some(last) = path.last() {
        let Some(next) = spec
            .stage(*last)
            .upstream()
            .into_iter()
            .find(|id| knot.contains(id))
        else {
            break;
        };
        if let Some(start) = places.insert(next, path.len()) {
            path.drain(..start);
            path.push(next);
            break;
        }
        path.push(next);
    }
    let names: Vec<&str> = path
        .iter()
        .map(|id| spec.stage(*id).name.as_str())
        .collect();
    let remedy = "each stands on the next; take one `from` or `contexts` entry out";
    Fault::usage(format!(
        "dependency cycle in {}: {} ({remedy})",
        spec.file,
        names.join(" -> ")
    ))
}
