//! Words for why a stage is not fresh.

use super::words::count;
use crate::freshness::key::IngredientKind;
use crate::freshness::verdict::{Change, Changed, NOT_LOCKED, Reason, ReasonKind};

/// The cause as a clause. If there are several of a kind, it names the first.
pub fn clause(reason: &Reason) -> String {
    let changes = &reason.changes;
    match reason.kind {
        ReasonKind::Forced => "forced".into(),
        ReasonKind::NoRecord => "never built here".into(),
        ReasonKind::ImageMissing => match changes.first() {
            Some(Change {
                name,
                after: Some(_),
                ..
            }) => format!("{name} points to another image"),
            Some(change) if change.is_unknown() => format!("the image is not {}", change.name),
            Some(Change { name, .. }) => format!("the image {name} is gone"),
            None => "the image is gone".into(),
        },
        ReasonKind::UpstreamChanged => match reason.first() {
            Some(Change {
                name, after: None, ..
            }) => format!("`{name}` must be built first"),
            Some(Change { name, .. }) => format!("{name} is another image"),
            None => "another upstream image".into(),
        },
        ReasonKind::BaseMoved => match reason.first() {
            Some(change) if change.is_unknown() => {
                format!(
                    "it stands on a base {}: only BuildKit can tell",
                    change.name
                )
            }
            Some(change) if change.after.as_deref() == Some(NOT_LOCKED) => {
                format!("base {} is not locked", change.name)
            }
            Some(change) => format!("base {} moved", change.name),
            None => String::new(),
        },
        ReasonKind::InputsChanged => inputs(changes),
        ReasonKind::ArgumentsChanged => named(IngredientKind::Argument, changes),
        ReasonKind::DockerfileChanged => "the Dockerfile changed".into(),
        ReasonKind::SettingsChanged => match reason.first() {
            None => "settings changed".into(),
            Some(change) if change.what == Changed::Policy && change.is_unknown() => {
                format!(
                    "only buildx can tell what its policy decides: {}",
                    change.name
                )
            }
            Some(change) => match change.name.strip_prefix("secret ") {
                Some(id) if change.after.is_some() => format!("its secret `{id}` is not there now"),
                Some(id) => format!("its secret `{id}` is there now"),
                None => {
                    let (what, name) = (change.what.word(), &change.name);
                    format!("{what} {name} {}", Fate::of(change).verb()).replace("  ", " ")
                }
            },
        },
    }
}

/// What happened to an ingredient that is not an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Changed,
    Added,
    Removed,
}

impl Fate {
    const fn of(change: &Change) -> Self {
        match (&change.before, &change.after) {
            (None, Some(_)) => Self::Added,
            (Some(_), None) => Self::Removed,
            _ => Self::Changed,
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Added => "was added",
            Self::Removed => "was removed",
        }
    }
}

/// `argument A, B changed, C was removed`.
fn named(what: IngredientKind, changes: &[Change]) -> String {
    let of = |wanted: Fate| {
        let changes = changes.iter().filter(|change| change.what == what);
        let names = changes.filter(|change| Fate::of(change) == wanted);
        let names: Vec<&str> = names.map(|change| change.name.as_str()).collect();
        let verb = match names.len() {
            0 | 1 => wanted.verb().to_owned(),
            _ => wanted.verb().replace("was", "were"),
        };
        (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")))
    };
    let parts = [Fate::Changed, Fate::Added, Fate::Removed].into_iter();
    let parts: Vec<String> = parts.filter_map(of).collect();
    format!("{} {}", Changed::from(what).word(), parts.join(", "))
}

fn inputs(changes: &[Change]) -> String {
    let of: Vec<&Change> = changes
        .iter()
        .filter(|change| change.what == IngredientKind::Input)
        .collect();
    if let Some(command) = changes
        .iter()
        .find(|change| change.what == Changed::Prepare)
    {
        let why = if of.is_empty() {
            command.name.clone()
        } else {
            files(&of)
        };
        let mut others = changes
            .iter()
            .filter(|change| change.what == Changed::HostCommand);
        let whose = others.next();
        let whose = whose.map_or_else(String::new, |of| format!(" of `{}`", of.name));
        return format!("the host command{whose} must run: {why}");
    }
    match of.as_slice() {
        [] => match changes
            .iter()
            .find(|change| change.what == IngredientKind::Remote)
        {
            Some(change) if change.is_unknown() => format!(
                "it adds {}, and no checksum or whole commit says what that is: only BuildKit can tell",
                change.name
            ),
            Some(change) => format!("a remote source {}", Fate::of(change).verb()),
            None => "a remote source changed".into(),
        },
        some => files(some),
    }
}

fn files(changes: &[&Change]) -> String {
    let Some((first, rest)) = changes.split_first() else {
        return String::new();
    };
    let first = format!("{} {}", first.name, OfInput::of(first).verb());
    match rest.len() {
        0 => first,
        more => format!("{first}, and {} more", count(more, "input")),
    }
}

/// What happened to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfInput {
    /// It was not there.
    Added,
    /// It is there, but is not an input any more.
    LeftOut,
    /// It is gone.
    Removed,
    /// It has other extended attributes.
    Attributes,
    /// It is of another kind: it was a file and is a link, or the like.
    Kind,
    /// The link has another target.
    Target,
    /// It has other permission bits.
    Permissions,
    /// It has another content.
    Content,
}

impl OfInput {
    /// Compares what the record said of an input with what it says now.
    pub fn of(change: &Change) -> Self {
        match (&change.before, &change.after) {
            (None, _) => Self::Added,
            (_, None) if change.left_out => Self::LeftOut,
            (_, None) => Self::Removed,
            (Some(before), Some(after)) => {
                let (before, old) = attributes(before);
                let (after, new) = attributes(after);
                if old != new && before == after {
                    return Self::Attributes;
                }
                let split = |text: &str| {
                    let mut words = text.splitn(3, ' ');
                    let kind = words.next().unwrap_or_default().to_owned();
                    (
                        kind,
                        words.next().unwrap_or_default().to_owned(),
                        words.next().unwrap_or_default().to_owned(),
                    )
                };
                let (before, after) = (split(before), split(after));
                match () {
                    () if before.0 != after.0 => Self::Kind,
                    () if after.0 == "symlink" => Self::Target,
                    () if before.2 == after.2 => Self::Permissions,
                    () => Self::Content,
                }
            }
        }
    }

    /// The verb, for a sentence that begins with the input's path.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Added => "was added",
            Self::LeftOut => "is left out now",
            Self::Removed => "was removed",
            Self::Attributes => "has other extended attributes",
            Self::Kind => "became another kind of file",
            Self::Target => "was retargeted",
            Self::Permissions => "has other permissions",
            Self::Content => "changed",
        }
    }
}

/// Splits the value of an input into all but its extended attributes, and those.
fn attributes(input: &str) -> (&str, &str) {
    input.rsplit_once(":xattrs ").unwrap_or((input, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_what_it_is_and_not_what_follows_from_it() {
        let change =
            |what: IngredientKind, name: &str, before: Option<&str>, after: Option<&str>| Change {
                what: what.into(),
                name: name.into(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
                left_out: false,
            };
        let told = |changes| clause(&Reason::of(changes));
        let (one, two) = (Some("1"), Some("2"));
        let upstream = vec![
            change(IngredientKind::Upstream, "dropped", one, None),
            change(IngredientKind::Upstream, "other", one, two),
        ];
        assert_eq!(told(upstream), "other is another image");
        let bases = vec![
            change(IngredientKind::Base, "a", one, None),
            change(IngredientKind::Base, "b", one, two),
        ];
        assert_eq!(told(bases), "base b moved");
        let unlocked = vec![change(IngredientKind::Base, "b", one, Some(NOT_LOCKED))];
        assert_eq!(told(unlocked), "base b is not locked");
        // What was dropped or added has not changed.
        let dropped = vec![change(IngredientKind::Base, "a", one, None)];
        assert_eq!(told(dropped), "base a was removed");
        let added = vec![change(IngredientKind::Label, "l", None, one)];
        assert_eq!(told(added), "label l was added");
        let removed = vec![change(IngredientKind::Argument, "A", one, None)];
        assert_eq!(told(removed), "argument A was removed");
        let arguments = vec![
            change(IngredientKind::Argument, "A", one, None),
            change(IngredientKind::Argument, "B", one, two),
            change(IngredientKind::Argument, "C", one, None),
            change(IngredientKind::Argument, "D", None, two),
        ];
        let all = "argument B changed, D was added, A, C were removed";
        assert_eq!(told(arguments), all);
        let remote = vec![change(IngredientKind::Remote, "u", one, None)];
        assert_eq!(told(remote), "a remote source was removed");
        let unbuilt = vec![change(IngredientKind::Upstream, "p", None, None)];
        assert_eq!(told(unbuilt), "`p` must be built first");
    }
}
