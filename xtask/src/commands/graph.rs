//! `cargo xtask graph`: the stages and what they stand on, in five forms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::plan;
use crate::cli::{self, GraphFormat};
use crate::fault::Result;
use crate::freshness::planner::Next;
use crate::graphfile::base_override::{self, OpenedGraph};
use crate::graphfile::graph::Graph;
use crate::graphfile::spec::{Parts, Spec, StageId};

/// Draws the graph.
pub fn run(flags: &cli::GraphArgs) -> Result<()> {
    if flags.format == GraphFormat::Svg {
        super::print(&with_verdicts(flags)?);
        return Ok(());
    }
    let OpenedGraph { spec, .. } = base_override::open(&super::chosen(&flags.at)?, &[])?;
    let graph = Graph::of_wholes(&spec)?;
    let text = match flags.format {
        GraphFormat::Tree => tree(&spec, &graph),
        GraphFormat::Dot => dot(&spec, &graph),
        GraphFormat::Mermaid => mermaid(&spec, &graph),
        GraphFormat::Svg => svg(&spec, &graph, &BTreeMap::new()),
        GraphFormat::Json => return super::print_json(&json(&spec, &graph)),
    };
    super::print(&text);
    Ok(())
}

/// The drawing with the verdicts of a plan, if there can be one.
fn with_verdicts(flags: &cli::GraphArgs) -> Result<String> {
    let work = super::open(&flags.at, &[], Next::AllStages)?;
    let graph = Graph::of_wholes(&work.spec)?;
    let plan = work.wanted(&[]).and_then(|all| work.plan(&all, |_| false));
    let verdicts = match plan {
        Ok(plan) => plan::verdicts(&work, &plan),
        Err(fault) => {
            crate::tell!("note: the drawing has no verdicts: {fault}");
            BTreeMap::new()
        }
    };
    Ok(svg(&work.spec, &graph, &verdicts))
}

fn children(graph: &Graph, id: StageId) -> BTreeSet<StageId> {
    graph.children(id).collect()
}

fn label(spec: &Spec, id: StageId) -> String {
    let stage = spec.stage(id);
    let name = match stage.references().first() {
        Some(reference) => format!("{} ({reference})", stage.name),
        None => stage.name.clone(),
    };
    match stage.parts {
        Parts::Several(_) => format!("{name} for {}", stage.platforms.join(", ")),
        Parts::One | Parts::Of(_) => name,
    }
}

/// The stages without the parts of others.
fn wholes(spec: &Spec) -> impl Iterator<Item = StageId> {
    spec.ids().filter(|id| !spec.stage(*id).is_part())
}

/// Every stage below the stages that it stands on. A stage with two parents appears twice, the
/// second time without what is below it.
fn tree(spec: &Spec, graph: &Graph) -> String {
    fn branch(
        text: &mut String,
        spec: &Spec,
        graph: &Graph,
        id: StageId,
        depth: usize,
        seen: &mut BTreeSet<StageId>,
    ) {
        let again = !seen.insert(id);
        let below = children(graph, id);
        let mark = if again && !below.is_empty() {
            " …"
        } else {
            ""
        };
        let indent = "  ".repeat(depth);
        let _ = writeln!(text, "{indent}{}{mark}", label(spec, id));
        for (name, by) in base_override::told(spec, spec.stage(id)).filter(|_| !again) {
            let _ = writeln!(text, "{indent}  [its {name} is {by}]");
        }
        if !again {
            for child in below {
                branch(text, spec, graph, child, depth + 1, seen);
            }
        }
    }
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for id in wholes(spec).filter(|id| graph.parents(*id).next().is_none()) {
        branch(&mut text, spec, graph, id, 0, &mut seen);
    }
    text
}

fn edges(spec: &Spec, graph: &Graph) -> Vec<(StageId, StageId)> {
    spec.ids()
        .flat_map(|id| {
            children(graph, id)
                .into_iter()
                .map(move |child| (id, child))
        })
        .collect()
}

/// Names hold only a-z, 0-9, `-`, `_` and `.`, so quotes are enough.
fn dot(spec: &Spec, graph: &Graph) -> String {
    let mut text = "digraph stages {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for id in wholes(spec) {
        let _ = writeln!(
            text,
            "  \"{}\" [label=\"{}\"];",
            spec.stage(id).name,
            label(spec, id)
        );
    }
    for (from, to) in edges(spec, graph) {
        let _ = writeln!(
            text,
            "  \"{}\" -> \"{}\";",
            spec.stage(from).name,
            spec.stage(to).name
        );
    }
    text + "}\n"
}

fn mermaid(spec: &Spec, graph: &Graph) -> String {
    let mut text = "graph LR\n".to_owned();
    for id in wholes(spec) {
        let _ = writeln!(text, "  s{}[\"{}\"]", id.0, label(spec, id));
    }
    for (from, to) in edges(spec, graph) {
        let _ = writeln!(text, "  s{} --> s{}", from.0, to.0);
    }
    text
}

/// Boxes in columns by their longest way from a root, with arrows between them. A box has the colour
/// and the word of its verdict.
fn svg(spec: &Spec, graph: &Graph, verdicts: &BTreeMap<StageId, &str>) -> String {
    const WIDTH: usize = 260;
    const HEIGHT: usize = 56;
    let mut column: BTreeMap<StageId, usize> = BTreeMap::new();
    for id in graph
        .order()
        .iter()
        .filter(|id| !spec.stage(**id).is_part())
    {
        let before = graph
            .parents(*id)
            .filter_map(|parent| column.get(&parent))
            .max();
        column.insert(*id, before.map_or(0, |before| before + 1));
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut place = BTreeMap::new();
    for id in wholes(spec) {
        let at = column.get(&id).copied().unwrap_or(0);
        let row = rows.entry(at).or_insert(0);
        place.insert(id, (10 + at * WIDTH, 10 + *row * HEIGHT));
        *row += 1;
    }
    let wide = 10 + WIDTH * rows.len().max(1);
    let high = 20 + HEIGHT * rows.values().max().copied().unwrap_or(1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" font-family=\"sans-serif\" font-size=\"12\">\n  \
         <marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0,0 L8,4 L0,8 z\" fill=\"#666\"/></marker>\n"
    );
    for (from, to) in edges(spec, graph) {
        let ((x1, y1), (x2, y2)) = (place[&from], place[&to]);
        let _ = writeln!(
            text,
            "  <line x1=\"{}\" y1=\"{}\" x2=\"{x2}\" y2=\"{}\" stroke=\"#666\" marker-end=\"url(#head)\"/>",
            x1 + 210,
            y1 + 20,
            y2 + 20
        );
    }
    for (id, (x, y)) in &place {
        let stage = spec.stage(*id);
        let image = stage.references().into_iter().next().unwrap_or_default();
        let verdict = verdicts.get(id).copied().unwrap_or_default();
        let (fill, stroke) = match verdict {
            "fresh" => ("#e6f4ea", "#2e7d32"),
            "stale" => ("#fff3e0", "#b45309"),
            "unknown" => ("#f3e8fd", "#6b21a8"),
            _ => ("#eef3fb", "#4a6fa5"),
        };
        let _ = writeln!(
            text,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"210\" height=\"40\" rx=\"6\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
        );
        let _ = writeln!(
            text,
            "  <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{stroke}\">{verdict}</text>",
            x + 202,
            y + 16
        );
        let _ = writeln!(
            text,
            "  <text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>",
            x + 8,
            y + 16,
            stage.name
        );
        let _ = writeln!(
            text,
            "  <text x=\"{}\" y=\"{}\" fill=\"#555\">{image}</text>",
            x + 8,
            y + 32
        );
    }
    text + "</svg>\n"
}

#[derive(Serialize)]
struct Node<'a> {
    stage: &'a str,
    references: Vec<String>,
    stands_on: Vec<&'a str>,
    services: &'a [String],
    /// The platforms of a stage that is built in parts.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    parts: &'a [String],
    /// The base overrides, by the names of the external images.
    replaced: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct Whole<'a> {
    stages: Vec<Node<'a>>,
}

fn json<'a>(spec: &'a Spec, graph: &Graph) -> Whole<'a> {
    let node = |id: &StageId| {
        let stage = spec.stage(*id);
        let parents: BTreeSet<StageId> = graph.parents(*id).collect();
        Node {
            stage: &stage.name,
            references: stage.references(),
            stands_on: parents
                .into_iter()
                .map(|parent| spec.stage(parent).name.as_str())
                .collect(),
            services: &stage.services,
            parts: match stage.parts {
                Parts::Several(_) => &stage.platforms,
                Parts::One | Parts::Of(_) => &[],
            },
            replaced: base_override::told(spec, stage).collect(),
        }
    };
    Whole {
        stages: graph
            .order()
            .iter()
            .filter(|id| !spec.stage(**id).is_part())
            .map(node)
            .collect(),
    }
}
