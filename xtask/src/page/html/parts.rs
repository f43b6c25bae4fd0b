//! What the sections of the page are made of.

use maud::{Markup, html};

use crate::report::words;

/// A time. Its value is in the page, too, so that figures can be added up.
pub(super) fn time(ms: u64) -> Markup {
    html! { data value=(ms) { (words::time(ms)) } }
}

/// A number of bytes.
pub(super) fn size(bytes: u64) -> Markup {
    html! { data value=(bytes) { (words::size(bytes)) } }
}

/// A number.
pub(super) fn number(number: usize) -> Markup {
    html! { data value=(number) { (number) } }
}

/// A part of a whole, in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = (u128::from(part) * 100 + u128::from(whole) / 2)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    format!("{percent} %")
}

/// The word for an outcome, in its colour.
pub(super) fn badge(word: &str) -> Markup {
    let class = word.split(' ').next().unwrap_or_default();
    html! { span class={ "badge " (class) } { (word) } }
}

/// A table with more rows than this scrolls by itself, under its head.
const TALL: usize = 25;

/// Something wide, which scrolls by itself so that the page need not.
pub(super) fn wide(label: &str, content: &Markup) -> Markup {
    scrolling("wide", label, content)
}

fn scrolling(class: &str, label: &str, content: &Markup) -> Markup {
    html! { div class=(class) role="region" tabindex="0" aria-label=(label) { (content) } }
}

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Of words.
    Text(&'static str),
    /// Of long text.
    Long(&'static str),
    /// Of numbers.
    Number(&'static str),
}

/// A table that scrolls by itself. The first cell of each row is its head.
pub(super) fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>]) -> Markup {
    // A short table is read as it is.
    let is_sortable = rows.len() > 4;
    let class = if is_sortable { Some("sortable") } else { None };
    let head = |column: &Column| match column {
        Column::Text(name) | Column::Long(name) => html! { th scope="col" { (name) } },
        Column::Number(name) => html! { th.num scope="col" { (name) } },
    };
    let cell = |(at, (cell, column)): (usize, (&Markup, &Column))| match (at, column) {
        (0, _) => html! { th scope="row" { (cell) } },
        (_, Column::Text(_)) => html! { td { (cell) } },
        (_, Column::Long(_)) => html! { td.long { (cell) } },
        (_, Column::Number(_)) => html! { td.num { (cell) } },
    };
    let table = html! {
        table class=[class] {
            caption { (caption) }
            thead { tr { @for column in columns { (head(column)) } } }
            tbody {
                @for row in rows {
                    tr { @for pair in row.iter().zip(columns).enumerate() { (cell(pair)) } }
                }
            }
        }
    };
    let class = if rows.len() > TALL {
        "wide tall"
    } else {
        "wide"
    };
    scrolling(class, caption, &table)
}

/// Text as a cell.
pub(super) fn text(text: &str) -> Markup {
    html! { (text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_nothing_are_nothing() {
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(2, 3), "67 %");
        assert_eq!(percent(0, 0), "0 %");
    }

    #[test]
    fn what_is_text_never_becomes_an_element() {
        let cell = text("<script>alert(1)</script>");
        let table = table("a <b> & c", &[Column::Text("x")], &[vec![cell]]).into_string();
        assert!(
            !table.contains("<script") && !table.contains("<b>"),
            "{table}"
        );
    }
}
