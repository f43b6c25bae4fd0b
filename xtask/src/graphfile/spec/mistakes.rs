//! Mistakes in the graph file, collected so that one run reports them all, each with its place
//! underlined.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::Fault;
use crate::shown::actions;

/// How many mistakes are shown. Nobody reads more, and showing each costs a pass through the file.
const MOST_SHOWN: usize = 100;
/// Longer names are not taken for typing errors.
const LONGEST_NAME: usize = 200;

/// A stretch of the graph file, in bytes.
pub type Span = Range<usize>;

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Mistake {
    span: Option<Span>,
    title: String,
    label: String,
    help: Option<String>,
}

impl Mistake {
    /// A mistake at `span`. `title` is the sentence, and `label` stands under the underline.
    pub fn at(span: Span, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            title: title.into(),
            label: label.into(),
            help: None,
        }
    }

    /// A mistake of the file as a whole.
    pub fn of_file(title: impl Into<String>) -> Self {
        Self {
            span: None,
            title: title.into(),
            label: String::new(),
            help: None,
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean …?` when one of `known` is close to `given`.
    #[must_use]
    pub fn did_you_mean<'a>(self, given: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(given, known) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// The most names that are compared for one hint. A hint is not worth seconds in a file with
/// hundreds of mistakes and a hundred thousand names.
const MOST_COMPARED: usize = 10_000;

/// The known name that is closest to `given`, if it is close enough for a typing error.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST_NAME {
        return None;
    }
    known
        .into_iter()
        .take(MOST_COMPARED)
        .filter(|name| name.len() <= LONGEST_NAME)
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(given.len()) / 4)
        .min()
        .map(|(_, name)| name)
}

/// All mistakes found so far in one graph file.
#[derive(Debug)]
pub struct Mistakes<'t> {
    file: Utf8PathBuf,
    text: &'t str,
    list: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    /// No mistakes yet, for `file` with the content `text`.
    pub fn of(file: &Utf8Path, text: &'t str) -> Self {
        Self {
            file: file.to_owned(),
            text,
            list: Vec::new(),
        }
    }

    /// Adds a mistake.
    pub fn push(&mut self, mistake: Mistake) {
        self.list.push(mistake);
    }

    /// Adds a mistake, with `did you mean …?` when one of `known` is close to `given`.
    pub fn push_near<'a, K: IntoIterator<Item = &'a str>>(
        &mut self,
        mistake: Mistake,
        given: &str,
        known: impl FnOnce() -> K,
    ) {
        // If there were as many mistakes as names, this would compare all pairs.
        if self.list.len() < MOST_SHOWN {
            self.push(mistake.did_you_mean(given, known()));
        } else {
            self.push(mistake);
        }
    }

    /// How many were found so far.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Ok` when nothing was wrong; otherwise a fault with the mistakes in the file's order.
    pub fn into_result(mut self) -> Result<(), Fault> {
        if self.list.is_empty() {
            return Ok(());
        }
        self.list
            .sort_by_key(|mistake| mistake.span.as_ref().map(|span| span.start));
        self.drop_followers();
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut message = String::new();
        if actions::are_read() {
            self.annotate(&mut message);
        }
        for mistake in self.list.iter().take(MOST_SHOWN) {
            let _ = writeln!(message, "{}\n", self.render(mistake, &renderer));
        }
        let count = self.list.len();
        let plural = if count == 1 { "mistake" } else { "mistakes" };
        let _ = write!(message, "{count} {plural} in {}", self.file);
        if count > MOST_SHOWN {
            let _ = write!(message, ", of which the first {MOST_SHOWN} are shown");
        }
        Err(Fault::usage(message))
    }

    /// Drops what only follows from another mistake: a field with a value of the wrong kind is not
    /// missing, too. The list must be sorted.
    fn drop_followers(&mut self) {
        if self.list.len() > MOST_SHOWN {
            // This compares all pairs, and nobody reads so many.
            return;
        }
        let titles: Vec<String> = self.list.iter().map(|it| it.title.clone()).collect();
        let mut follow = BTreeSet::new();
        for (at, title) in titles.iter().enumerate() {
            let parts = title
                .strip_prefix('`')
                .and_then(|it| it.split_once("` of "));
            let Some((field, rest)) = parts else {
                continue;
            };
            // The table's own mistake stands at its head, so before that of its field.
            let missing = titles[..at].iter().rposition(|other| {
                let whole = other.strip_suffix(&format!(" has no `{field}`"));
                whole.is_some_and(|whole| rest.starts_with(&format!("{whole} ")))
            });
            follow.extend(missing);
        }
        let mut at = 0..;
        self.list
            .retain(|_| at.next().is_none_or(|at| !follow.contains(&at)));
    }

    /// A line for each mistake that GitHub shows at its place.
    fn annotate(&self, message: &mut String) {
        let file = std::path::absolute(&self.file);
        let file = file.unwrap_or_else(|_| self.file.as_std_path().to_owned());
        for mistake in self.list.iter().take(MOST_SHOWN) {
            let span = mistake.span.as_ref();
            let line = span.and_then(|span| u32::try_from(self.line(span)).ok());
            let mark = actions::Mark::error("mistake in the graph file");
            let mark = mark.at(&actions::workspace(), &file, line);
            let help = mistake.help.as_ref();
            let help = help.map_or_else(String::new, |help| format!(": {help}"));
            let told = mark.line(&format!("{}{help}", mistake.title));
            let _ = writeln!(message, "{told}");
        }
    }

    /// The whole lines in which a span lies, and the number of the first line. The renderer
    /// searches all the text that it is given, so it gets no more than these.
    fn lines(&self, span: &Span) -> (Span, usize) {
        let bytes = self.text.as_bytes();
        let is_end = |byte: &u8| *byte == b'\n';
        let start = bytes[..span.start].iter().rposition(is_end);
        let start = start.map_or(0, |at| at + 1);
        let end = bytes[span.end..].iter().position(is_end);
        let end = end.map_or(bytes.len(), |at| span.end + at);
        let before = bytes[..start].iter().filter(|byte| is_end(byte)).count();
        (start..end, before + 1)
    }

    /// Where a span begins, for a person: `build-graph.toml:12`.
    pub fn place(&self, span: &Span) -> String {
        format!("{}:{}", self.file, self.line(span))
    }

    /// The line in which a span begins, from 1.
    fn line(&self, span: &Span) -> usize {
        let end = span.start.min(self.text.len());
        let before = &self.text.as_bytes()[..end];
        before.split(|byte| *byte == b'\n').count()
    }

    fn render(&self, mistake: &Mistake, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(mistake.title.as_str());
        let mut group = match &mistake.span {
            Some(span) => {
                let end = span.end.min(self.text.len());
                let span = span.start.min(end)..end;
                let (lines, number) = self.lines(&span);
                let span = span.start - lines.start..span.end - lines.start;
                title.element(
                    Snippet::source(&self.text[lines])
                        .line_start(number)
                        .path(self.file.as_str())
                        .annotation(
                            AnnotationKind::Primary
                                .span(span)
                                .label(mistake.label.as_str()),
                        ),
                )
            }
            None => annotate_snippets::Group::with_title(title),
        };
        if let Some(help) = &mistake.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group]).clone()
    }
}
