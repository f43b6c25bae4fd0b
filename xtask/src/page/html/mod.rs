//! The page: one file without anything from outside. It says everything without its script, which
//! adds sorting and the search in logs.
//!
//! Every value goes through `maud`, which escapes it. Only the style and the script are written as
//! they are, and the page allows no others.

mod compare;
mod evidence;
mod graph;
mod logs;
mod parts;
mod savings;
mod sizes;
mod steps;
mod summary;
mod timeline;

use base64::Engine as _;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Material, WRITER};
use crate::report::words;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Writes the page.
pub(super) fn page(material: &Material<'_>) -> String {
    let run = material.run;
    let title = format!("Build of {}", savings::when(run));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content=(WRITER);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy());
                title { (title) ": " (words::time(run.elapsed_ms())) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#summary" { "Skip to the summary" }
                header {
                    h1 { (title) }
                    p.muted {
                        code { (material.graph) } ", build " code { (run.name.id) } ", "
                        (words::count(run.jobs, "place"))
                    }
                    (contents(material))
                }
                main {
                    (summary::section(run))
                    (graph::section(run))
                    (timeline::section(run))
                    (steps::section(run))
                    @if let Some(before) = material.before { (compare::section(before, run)) }
                    (savings::section(material.runs))
                    (sizes::section(material))
                    (evidence::section(material))
                    (logs::section(&material.logs))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn contents(material: &Material<'_>) -> Markup {
    let all = [
        ("summary", "Summary", true),
        ("graph", "Graph", !material.run.graph.is_empty()),
        ("timeline", "Timeline", true),
        ("steps", "Steps", true),
        ("comparison", "Comparison", material.before.is_some()),
        ("savings", "Savings", true),
        ("causes", "Causes", true),
        ("sizes", "Sizes", true),
        ("verification", "Verification", true),
        ("logs", "Logs", true),
    ];
    html! {
        nav aria-label="Contents" {
            ul {
                @for (id, name, _) in all.iter().filter(|(_, _, is_there)| *is_there) {
                    li { a href={ "#" (id) } { (name) } }
                }
            }
        }
    }
}

/// Allows this very style and this very script, and nothing else.
fn policy() -> String {
    let hash = |text: &str| {
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(hash)
    };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}
