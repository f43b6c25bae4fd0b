//! The rules for one source: what `[source.NAME]` may say.

use camino::Utf8PathBuf;

use super::check::GraphReader;
use super::mistakes::{Mistake, Span};
use super::raw::{RawSource, Text};
use super::{Git, Place, Source, names};

impl GraphReader<'_, '_> {
    pub(super) fn source(&mut self, name: String, span: &Span, raw: RawSource) -> Source {
        if raw.path.is_none() && raw.git.is_none() {
            let title = format!("source `{name}` says neither where it is nor where it comes from");
            self.mistakes.push(
                Mistake::at(span.clone(), title, "empty")
                    .help("give it a `path`, or a `git` URL and a `rev`"),
            );
        }
        let path = raw
            .path
            .and_then(|path| self.text("path", path, names::plain))
            .map(Utf8PathBuf::from);
        let git = match (raw.git, raw.rev) {
            (Some(url), Some(rev)) => self.git(url, rev, raw.mirrors.unwrap_or_default()),
            (Some(_), None) => {
                let title = format!("source `{name}` has a `git` URL and no `rev`");
                self.mistakes.push(
                    Mistake::at(span.clone(), title, "`rev` is missing")
                        .help("name a tag, a branch or a commit"),
                );
                None
            }
            (None, rev) => {
                let first = raw.mirrors.unwrap_or_default().into_iter().next();
                if let Some(stray) = rev.or(first) {
                    let title =
                        format!("source `{name}` has a `rev` or `mirrors`, but no `git` URL");
                    self.mistakes
                        .push(Mistake::at(stray.span(), title, "needs a `git` URL"));
                }
                None
            }
        };
        let layout = raw.layout.into_iter().flatten();
        let layout = layout
            .filter_map(|folder| self.path("layout", folder))
            .collect();
        Source {
            name,
            path,
            git,
            layout,
            place: Place::default(),
        }
    }

    fn git(&mut self, url: Text, rev: Text, mirrors: Vec<Text>) -> Option<Git> {
        let url = self.text("git URL", url, names::git_url);
        let rev = self.text("rev", rev, names::revision);
        let mirrors = self.texts("mirror", Some(mirrors), names::git_url);
        Some(Git {
            url: url?,
            rev: rev?,
            mirrors,
        })
    }
}
