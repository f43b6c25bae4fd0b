//! What COPY, ADD and RUN --mount read, and from which context, image or remote source.

use super::instructions::Copy;
use super::mount::Mount;
use super::need::{ContextNeed, Need};
use super::reading::{BaseKind, BaseUse, Remote, Required, Take, TakenFrom};
use super::scope::{self, Outer};
use super::sources::{self, RemoteKind};
use super::stages::{self, Base};
use super::walk::{Done, Place, Walk};
use super::words::Trouble;

/// Longer than any checksum, in bytes.
const LONGEST_CHECKSUM: usize = 256;

/// A context that paths are read from.
pub(super) enum Origin {
    Main,
    Named(String),
}

impl Walk<'_> {
    fn expand(&self, text: &str, done: &Done) -> Result<String, Trouble> {
        let Outer { escape, budget, .. } = self.outer;
        scope::expand(text, escape, &done.scope.all, budget)
    }

    pub(super) fn copy(&mut self, copy: &Copy, place: &Place<'_>, done: &Done) {
        let Some(from) = &copy.from else {
            return self.paths(&Origin::Main, copy, (&copy.sources, |_| true), place, done);
        };
        if from.contains('$') {
            self.doubts.push(format!(
                "{} cannot be decided: `--from` takes no variables",
                at(place)
            ));
            return;
        }
        let source = self.stages.copy_source(from);
        if let Some(origin) = self.reach(source, BaseKind::CopyFrom, place) {
            self.paths(&origin, copy, (&copy.sources, |_| true), place, done);
        }
    }

    pub(super) fn add(&mut self, add: &Copy, place: &Place<'_>, done: &Done) {
        let checksum = add.checksum.as_deref().map(|sum| self.expand(sum, done));
        let checksum_known = !matches!(checksum, Some(Err(_)));
        // Each source gets a copy, so a long checksum is dropped. The instruction's text counts
        // anyway.
        let checksum = checksum
            .and_then(Result::ok)
            .filter(|sum| sum.len() <= LONGEST_CHECKSUM);
        let mut local = Vec::new();
        for source in &add.sources {
            let expanded = self.expand(source, done);
            let (kind, text, known) = match &expanded {
                Ok(text) => {
                    let sorted = sources::of_add(text);
                    if sorted.path.is_some() {
                        local.push(source.clone());
                    }
                    let Some(kind) = sorted.remote else { continue };
                    (kind, text.clone(), checksum_known)
                }
                Err(_) if sources::is_surely_remote(source) => (
                    sources::of_add(source).remote.unwrap_or(RemoteKind::Http),
                    source.clone(),
                    false,
                ),
                Err(_) => {
                    local.push(source.clone());
                    if !sources::may_be_remote(source) {
                        continue;
                    }
                    (RemoteKind::Http, source.clone(), false)
                }
            };
            let checksum = checksum.clone();
            // An empty checksum has no effect (tried).
            let has_checksum = checksum.as_ref().is_some_and(|sum| !sum.is_empty());
            let is_fixed = known && (has_checksum || sources::is_fixed(&text));
            self.reading.remotes.push(Remote {
                url: text,
                known,
                kind,
                checksum,
                is_fixed,
                line: place.line,
            });
        }
        let is_path = |source: &str| sources::of_add(source).remote.is_none();
        self.paths(&Origin::Main, add, (&local, is_path), place, done);
    }

    fn paths(
        &mut self,
        origin: &Origin,
        copy: &Copy,
        (from, is_path): (&[String], impl Fn(&str) -> bool),
        place: &Place<'_>,
        done: &Done,
    ) {
        // With `--parents`, excludes are relative to another folder than the path.
        let exclude = if copy.parents {
            Vec::new()
        } else {
            sources::excludes(&copy.exclude)
        };
        let length: usize = exclude.iter().map(|pattern| pattern.len() + 64).sum();
        for source in from {
            if place.windows {
                self.whole(
                    origin,
                    format!(
                        "{} copies on Windows, whose paths are read otherwise",
                        at(place)
                    ),
                );
                return;
            }
            match self.expand(source, done) {
                Ok(source) => {
                    let (path, wildcard) = if copy.parents {
                        let (path, wildcard, is_cut) = sources::path_with_parents(&source);
                        if is_cut && path.is_empty() {
                            let why = format!("only BuildKit resolves `{source}`");
                            self.take_all(origin, format!("{}: {why}", at(place)));
                            continue;
                        }
                        (path, wildcard)
                    } else {
                        sources::path(&source)
                    };
                    if !copy.parents && !wildcard && is_path(&source) {
                        self.require(origin, &path, place.line);
                    }
                    // Many patterns for many sources are dropped: they would only narrow the
                    // answer.
                    let exclude = if self.outer.budget.spare(length) {
                        exclude.clone()
                    } else {
                        Vec::new()
                    };
                    self.need(
                        origin,
                        Need {
                            path,
                            wildcard,
                            exclude,
                            line: place.line,
                        },
                    );
                }
                Err(trouble) => {
                    let why = stages::clause(&trouble);
                    self.whole(origin, format!("{}: {why}", at(place)));
                }
            }
        }
    }

    pub(super) fn mount(&mut self, mount: &Mount, place: &Place<'_>, done: &Done) {
        let field = |value: &Option<String>| {
            value
                .as_deref()
                .map(|text| self.expand(text, done))
                .transpose()
        };
        let (kind, source, target, id) = (
            field(&mount.kind),
            field(&mount.source),
            field(&mount.target),
            field(&mount.id),
        );
        let kind = match kind {
            Ok(kind) => kind.unwrap_or_else(|| "bind".to_owned()).to_lowercase(),
            Err(trouble) => {
                let why = stages::clause(&trouble);
                self.doubts.push(format!(
                    "the type of a mount in {} is open: {why}",
                    at(place)
                ));
                return;
            }
        };
        match kind.as_str() {
            "bind" | "cache" | "tmpfs" => {
                if let Some(origin) = self.mount_origin(&kind, mount, place) {
                    match source {
                        _ if kind == "tmpfs" => {}
                        Ok(source) if !place.windows => {
                            let need = sources::of_mount(&source.unwrap_or_default(), place.line);
                            if kind == "bind" {
                                self.require(&origin, &need.path, place.line);
                            }
                            self.need(&origin, need);
                        }
                        Ok(_) => self.whole(&origin, format!("{} mounts on Windows", at(place))),
                        Err(trouble) => {
                            let why = stages::clause(&trouble);
                            self.whole(&origin, format!("{}: {why}", at(place)));
                        }
                    }
                }
            }
            "secret" => {
                let id = [source, id]
                    .into_iter()
                    .map(|v| v.unwrap_or_else(|_| mount.id.clone()))
                    .find_map(|v| v.filter(|v| !v.is_empty()));
                let target = target.unwrap_or_else(|_| mount.target.clone());
                let base =
                    target.and_then(|t| t.rsplit('/').find(|p| !p.is_empty()).map(str::to_owned));
                self.reading.secrets.extend(id.or(base));
            }
            "ssh" => {
                let id = id
                    .unwrap_or_else(|_| mount.id.clone())
                    .filter(|id| !id.is_empty());
                self.reading
                    .ssh
                    .insert(id.unwrap_or_else(|| "default".to_owned()));
            }
            _ => self.doubts.push(format!(
                "{} has a mount of the unknown type `{kind}`",
                at(place)
            )),
        }
    }

    fn mount_origin(&mut self, kind: &str, mount: &Mount, place: &Place<'_>) -> Option<Origin> {
        let from = match mount.from.as_deref() {
            Some(from) if from.contains('$') => {
                self.doubts.push(format!(
                    "{} cannot be decided: a mount's `from` takes no variables",
                    at(place)
                ));
                return None;
            }
            Some(from) => from,
            // A cache starts empty.
            None if kind == "cache" => "scratch",
            None if kind == "tmpfs" => return None,
            None => return Some(Origin::Main),
        };
        self.reach(self.stages.source(from), BaseKind::MountFrom, place)
    }

    /// Notes the use of another stage, context or image. Returns the context to read from.
    fn reach(&mut self, source: Base, kind: BaseKind, place: &Place<'_>) -> Option<Origin> {
        match source {
            Base::Scratch => None,
            Base::Stage(at) => {
                self.pending.push(at);
                let context = self.stages.all[at].replaced_by.clone()?;
                self.take(TakenFrom::Context(context.clone()), None, place.line, kind);
                Some(Origin::Named(context))
            }
            Base::Context(context) => {
                self.take(TakenFrom::Context(context.clone()), None, place.line, kind);
                Some(Origin::Named(context))
            }
            Base::Image { written, reference } => {
                let line = place.line;
                self.base_use(BaseUse {
                    reference: reference.context_name(),
                    written,
                    platform: None,
                    line,
                    kind,
                });
                None
            }
            Base::Undecided(why) => {
                self.doubts.push(format!("{} is open: {why}", at(place)));
                None
            }
        }
    }

    /// Notes a place that uses an image or a context for a platform. Only the first place of each
    /// kind is noted.
    pub(super) fn take(
        &mut self,
        from: TakenFrom,
        platform: Option<String>,
        line: usize,
        kind: BaseKind,
    ) {
        let known = (from.clone(), platform.clone(), kind);
        if self.seen.takes.insert(known) {
            self.reading.takes.push(Take {
                from,
                platform,
                line,
                kind,
            });
        }
    }

    pub(super) fn base_use(&mut self, new: BaseUse) {
        self.take(
            TakenFrom::Image(new.reference.clone()),
            new.platform.clone(),
            new.line,
            new.kind,
        );
        let known = (new.reference.clone(), new.platform.clone());
        if self.seen.bases.insert(known) {
            self.reading.bases.push(new);
        }
    }

    /// Needs all of a named context, as the instruction always does.
    pub(super) fn whole_context(&mut self, context: &str, because: String) {
        self.take_all(&Origin::Named(context.to_owned()), because);
    }

    /// Needs all of a context, though the text decides everything else.
    fn take_all(&mut self, origin: &Origin, because: String) {
        let need = self.context_need(origin);
        if !matches!(need, ContextNeed::Whole { .. }) {
            *need = ContextNeed::Whole { because };
        }
    }

    /// Needs all of a context, because the text does not decide which part.
    fn whole(&mut self, origin: &Origin, because: String) {
        self.take_all(origin, because.clone());
        self.undecided(because);
    }

    fn need(&mut self, origin: &Origin, new: Need) {
        match self.context_need(origin) {
            ContextNeed::Whole { .. } => {}
            ContextNeed::Paths(needs) => needs.push(new),
            nothing @ ContextNeed::Nothing => *nothing = ContextNeed::Paths(vec![new]),
        }
    }

    /// Notes a path that must exist. BuildKit's versions read a path with a backslash differently.
    fn require(&mut self, origin: &Origin, path: &[u8], line: usize) {
        if path.is_empty() || path.contains(&b'\\') {
            return;
        }
        let context = match origin {
            Origin::Main => None,
            Origin::Named(context) => Some(context.clone()),
        };
        let path = path.to_vec();
        self.reading.required.push(Required {
            context,
            path,
            line,
        });
    }

    fn context_need(&mut self, origin: &Origin) -> &mut ContextNeed {
        match origin {
            Origin::Main => &mut self.reading.context,
            Origin::Named(context) => self.reading.named.entry(context.clone()).or_default(),
        }
    }
}

/// `` `COPY $X /` on line 3 ``, shortened.
fn at(place: &Place<'_>) -> String {
    let text = place.text.trim();
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{short}{dots}` on line {}", place.line)
}
