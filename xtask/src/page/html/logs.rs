//! The logs, which can be searched.

use maud::{Markup, html};

use super::parts::{badge, time};
use crate::page::logs::ShownLog;
use crate::page::past_run::StageTurn;
use crate::report::words;

pub(super) fn section(logs: &[(&StageTurn, ShownLog)]) -> Markup {
    html! {
        h2 #logs { "Logs" }
        @if logs.is_empty() {
            p { "No builder and no host command ran in this build." }
        } @else {
            div.tools #log-tools hidden {
                label for="log-search" { "Search in all logs" }
                input #log-search type="search" autocomplete="off" spellcheck="false";
                button #log-open type="button" { "Open or close all" }
                span #log-found role="status" {}
            }
            @for (turn, log) in logs { (one(turn, log)) }
        }
    }
}

fn one(turn: &StageTurn, log: &ShownLog) -> Markup {
    let path = turn.log.as_deref().unwrap_or_default();
    html! {
        details.log {
            summary { (turn.stage) " " (badge(turn.word())) " " (time(turn.took_ms())) }
            @match log {
                ShownLog::Text { head, omitted, tail } => {
                    @let is_whole = *omitted == 0;
                    (text(&turn.stage, if is_whole { "log" } else { "beginning of the log" }, head))
                    @if !is_whole {
                        p.muted { "… " (words::size(*omitted)) " left out here; the whole log is " code { (path) } }
                        (text(&turn.stage, "end of the log", tail))
                    }
                }
                ShownLog::Replaced => p { "A later build of this stage has written its own log to " code { (path) } "." }
                ShownLog::Gone => p { "There is no log at " code { (path) } " any more." }
            }
        }
    }
}

/// The line break after the tag is dropped by readers of HTML, so that an empty first line stays.
fn text(stage: &str, what: &str, text: &str) -> Markup {
    html! { pre tabindex="0" role="region" aria-label={ (what) " of " (stage) } { "\n" (text) } }
}
