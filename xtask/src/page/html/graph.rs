//! The graph, with the outcome of each stage and its cause.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::parts::wide;
use crate::page::causes;
use crate::page::links::Links;
use crate::page::past_run::PastRun;

const WIDTH: usize = 270;
const HEIGHT: usize = 74;
const BOX: (usize, usize) = (220, 56);
/// How many characters fit into a box.
const FIT: usize = 34;

pub(super) fn section(run: &PastRun) -> Markup {
    if run.graph.is_empty() {
        return html! {};
    }
    html! {
        h2 #graph { "Graph" }
        p.muted {
            "An arrow leads from a stage to one that is built on it. The table "
            a href="#stages" { "Stages" } " says the same in words."
        }
        (wide("The graph of the stages", &drawing(run)))
    }
}

/// The column of each stage: the longest way to it. A graph in a circle, which only a damaged file
/// can have, ends where it closes.
fn columns(graph: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, usize> {
    fn column<'g>(
        graph: &'g BTreeMap<String, Vec<String>>,
        stage: &'g str,
        known: &mut BTreeMap<&'g str, usize>,
        on_way: &mut BTreeSet<&'g str>,
    ) -> usize {
        if let Some(column) = known.get(stage) {
            return *column;
        }
        if !on_way.insert(stage) {
            return 0;
        }
        let parents = graph.get(stage).into_iter().flatten();
        let parents = parents.filter(|parent| graph.contains_key(*parent));
        let own = parents.map(|parent| column(graph, parent, known, on_way) + 1);
        let own = own.max().unwrap_or(0);
        on_way.remove(stage);
        known.insert(stage, own);
        own
    }
    let mut known = BTreeMap::new();
    for stage in graph.keys() {
        column(graph, stage, &mut known, &mut BTreeSet::new());
    }
    known
}

fn drawing(run: &PastRun) -> Markup {
    let columns = columns(&run.graph);
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut place: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (stage, column) in &columns {
        let row = rows.entry(*column).or_default();
        place.insert(stage, (4 + column * WIDTH, 4 + *row * HEIGHT));
        *row += 1;
    }
    let width = WIDTH * rows.len().max(1);
    let height = HEIGHT * rows.values().max().copied().unwrap_or(1);
    let edges = run.graph.iter().flat_map(|(child, parents)| {
        let to = place[child.as_str()];
        let from = parents
            .iter()
            .filter_map(|parent| place.get(parent.as_str()));
        from.map(move |from| (*from, to))
    });
    let why = why(run);
    html! {
        svg width=(width) height=(height) role="img" aria-labelledby="graph-title" {
            title #graph-title { (run.graph.len()) " stages, with the outcome of each and its cause" }
            defs {
                marker #head viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto" {
                    path.head d="M0,0 L8,4 L0,8 z" {}
                }
            }
            @for ((x1, y1), (x2, y2)) in edges {
                @let (from, to) = ((x1 + BOX.0, y1 + BOX.1 / 2), (x2, y2 + BOX.1 / 2));
                @let middle = usize::midpoint(from.0, to.0);
                path.edge marker-end="url(#head)"
                    d={ "M" (from.0) "," (from.1) " C" (middle) "," (from.1) " " (middle) "," (to.1) " " (to.0) "," (to.1) } {}
            }
            @for (stage, (x, y)) in &place {
                @let outcome = run.outcome.get(*stage).map_or("not ended", |own| own.word());
                @let why = why.get(stage).map_or("", String::as_str);
                g {
                    title { (stage) ": " (outcome) @if !why.is_empty() { ", " (why) } }
                    rect class={ "box " (outcome) } x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="6" {}
                    text class={ "on " (outcome) } x=(x + 9) y=(y + 19) font-weight="600" { (cut(stage)) }
                    text class={ "on " (outcome) } x=(x + 9) y=(y + 34) { (outcome) }
                    text class={ "on " (outcome) } x=(x + 9) y=(y + 49) { (cut(why)) }
                }
            }
        }
    }
}

/// Why each stage was not fresh: the clause at its root, with the stage of the root.
fn why(run: &PastRun) -> BTreeMap<&str, String> {
    let links = Links::of(run);
    let mut why = BTreeMap::new();
    for (own, roots) in causes::roots(&links).into_iter().enumerate() {
        let clause = |at: usize| links.turns[at].reason.as_ref().map(|it| it.clause.as_str());
        let told = roots.into_iter().filter_map(|root| {
            let clause = clause(root)?;
            Some(if root == own {
                clause.to_owned()
            } else {
                format!("{}: {clause}", links.turns[root].stage)
            })
        });
        let told: Vec<String> = told.collect();
        let stage = crate::page::past_run::whole(&links.turns[own].stage);
        why.entry(stage).or_insert_with(|| told.join("; "));
    }
    why
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(FIT) {
        Some(_) => text.chars().take(FIT - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_stands_right_of_all_that_it_stands_on() {
        let graph = [
            ("a", vec![]),
            ("b", vec!["a"]),
            ("c", vec!["a", "b"]),
            ("d", vec!["d"]),
        ];
        let graph = graph.map(|(stage, parents)| {
            let parents = parents.into_iter().map(str::to_owned).collect();
            (stage.to_owned(), parents)
        });
        let graph = BTreeMap::from(graph);
        let found = columns(&graph);
        assert_eq!((found["a"], found["b"], found["c"]), (0, 1, 2));
    }

    #[test]
    fn a_long_name_is_cut_and_a_short_one_is_not() {
        assert_eq!(cut(&"é".repeat(34)), "é".repeat(34));
        assert_eq!(cut(&"é".repeat(35)).chars().count(), 34);
    }
}
