//! The DAG of stages: their build order, and the closure of the targets that a user names.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::Dfs;
use petgraph::{Direction, visit::Reversed};

use crate::fault::{Fault, Result};
use crate::graphfile::spec::{Spec, StageId};

/// The stages, with an edge from each stage to the stages that use its image. There is no cycle.
#[derive(Debug)]
pub struct Graph {
    edges: DiGraph<StageId, ()>,
    order: Vec<StageId>,
}

impl Graph {
    /// Builds the graph. A cycle is a fault that prints its whole path.
    pub fn of(spec: &Spec) -> Result<Self> {
        Self::with(spec, |id| spec.stage(id).upstream())
    }

    /// The graph as a person sees it: a stage with several platforms is one stage, and its parts
    /// stand alone.
    pub fn of_wholes(spec: &Spec) -> Result<Self> {
        Self::with(spec, |id| {
            if spec.stage(id).is_part() {
                BTreeSet::new()
            } else {
                spec.stands_on(id)
            }
        })
    }

    fn with(spec: &Spec, above: impl Fn(StageId) -> BTreeSet<StageId>) -> Result<Self> {
        let mut edges = DiGraph::with_capacity(spec.stages.len(), spec.stages.len());
        for id in spec.ids() {
            edges.add_node(id);
        }
        for id in spec.ids() {
            for parent in above(id) {
                edges.add_edge(node(parent), node(id), ());
            }
        }
        let order = order(spec, &edges);
        if order.len() == edges.node_count() {
            Ok(Self { edges, order })
        } else {
            Err(cycle(spec, &edges))
        }
    }

    /// All stages, each after the stages whose images it uses.
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

    /// The targets and everything they stand on, in build order. Without targets, all stages.
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

/// All stages, each after the stages it stands on, and otherwise as the file declares them: people
/// recognise this order, and it is the same on every run. Stages in or behind a cycle are left out.
fn order(spec: &Spec, edges: &DiGraph<StageId, ()>) -> Vec<StageId> {
    let mut place = vec![0; edges.node_count()];
    for (at, id) in spec.declared.iter().enumerate() {
        place[id.index()] = at;
    }
    let first = |at: NodeIndex| Reverse((place[edges[at].index()], at));
    let mut waits: Vec<usize> = edges
        .node_indices()
        .map(|at| edges.edges_directed(at, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<_> = edges.externals(Direction::Incoming).map(first).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(Reverse((_, at))) = ready.pop() {
        order.push(edges[at]);
        for child in edges.neighbors(at) {
            waits[child.index()] -= 1;
            if waits[child.index()] == 0 {
                ready.push(first(child));
            }
        }
    }
    order
}

fn node(id: StageId) -> NodeIndex {
    NodeIndex::new(id.index())
}

/// Names one cycle, from its first stage by name back to that stage.
fn cycle(spec: &Spec, edges: &DiGraph<StageId, ()>) -> Fault {
    // Tarjan's algorithm would recurse as deep as the cycle is long.
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
    // Each stage of a knot stands on another stage of it, so the walk must return to a stage.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;

    fn names(text: &str) -> Vec<String> {
        let text = format!("version = 1\n{text}");
        let spec = crate::graphfile::spec::read(
            "g.toml".into(),
            "/g".into(),
            &text,
            &GraphOptions::default(),
        )
        .unwrap();
        let graph = Graph::of(&spec).unwrap();
        let name = |id: &StageId| spec.stage(*id).name.clone();
        graph.order().iter().map(name).collect()
    }

    #[test]
    fn stages_come_as_they_are_declared_but_after_what_they_stand_on() {
        let text = "[stage.web]\ncontext = \"w\"\n[stage.over]\ncontext = \"o\"\nfrom = \"low\"\n\
                    [stage.api]\ncontext = \"a\"\n[stage.low]\ncontext = \"l\"\n";
        assert_eq!(names(text), ["web", "api", "low", "over"]);
    }
}
