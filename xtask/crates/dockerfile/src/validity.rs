//! Whether BuildKit surely accepts an instruction.
//!
//! BuildKit reads all instructions of a file before it builds one. It refuses the file for a single
//! instruction that it cannot read, in any stage (moby/buildkit `instructions.Parse`). Some
//! instructions it refuses only when it runs them, though nothing in the image depends on them.
//! Only forms that no version refuses count as sure.

use std::collections::BTreeSet;

use super::flags::{self, JsonWords, Split};
use super::instructions::{self, Instruction};
use super::lines::Logical;

use super::stages::{Base, Stages};

/// Whether no version of BuildKit refuses a file for this instruction, in any stage.
pub(super) fn is_sure(logical: &Logical, escape: char) -> bool {
    let Ok(split) = flags::split(&logical.text, escape) else {
        return false;
    };
    match instructions::read(logical, escape) {
        Instruction::Unreadable(_) => false,
        Instruction::Arg(_) => has_whole_words(&split.rest, escape),
        Instruction::Env(pairs) => have_names(&pairs) && has_whole_words(&split.rest, escape),
        Instruction::Run(_) => !split.rest.is_empty() && has_sure_flags(&split),
        Instruction::Copy(_) | Instruction::Add(_) => has_sure_flags(&split),
        Instruction::Onbuild(trigger) => {
            let nested = Logical {
                line: logical.line,
                text: trigger,
                heredocs: Vec::new(),
            };
            let keyword = flags::keyword(&nested.text);
            !["FROM", "MAINTAINER", "ONBUILD"].contains(&keyword.as_str())
                && is_sure(&nested, escape)
        }
        Instruction::Other => other(&split, escape),
        Instruction::From { .. } => true,
    }
}

/// Whether every version knows all flags, and each appears once.
fn has_sure_flags(split: &Split) -> bool {
    let mut seen = BTreeSet::new();
    let is_sure = |flag: &String| {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag.as_str(), None),
        };
        let is_switch = value.is_none_or(|value| ["true", "false"].contains(&value));
        let is_known = match (split.keyword.as_str(), name) {
            ("RUN", "--mount") => return value.is_some(),
            ("RUN", "--network") => {
                value.is_some_and(|it| ["default", "none", "host"].contains(&it))
            }
            ("COPY", "--from")
            | ("ADD", "--checksum")
            | ("COPY" | "ADD", "--chown" | "--chmod") => {
                value.is_some_and(|value| !value.is_empty())
            }
            ("COPY" | "ADD", "--link") | ("ADD", "--keep-git-dir") => is_switch,
            _ => false,
        };
        is_known && seen.insert(name.to_owned())
    };
    split.flags.iter().all(is_sure)
}

/// Whether every quote and every `${` is closed, and every version knows the form of each `${…}`.
fn has_whole_words(text: &str, escape: char) -> bool {
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None | Some('"')) if c == escape => {
                chars.next();
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('$', None | Some('"')) if chars.next_if_eq(&'{').is_some() => {
                let mut inner = String::new();
                while let Some(c) = chars.next_if(|c| *c != '}') {
                    inner.push(c);
                }
                if chars.next().is_none() || !is_sure_variable(&inner) {
                    return false;
                }
            }
            _ => {}
        }
    }
    quote.is_none()
}

/// Whether the text between `${` and `}` is a name, perhaps with a plain word behind `-` or `+`.
fn is_sure_variable(inner: &str) -> bool {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = inner.find(|c| !is_of_a_name(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let word = rest.strip_prefix(':').unwrap_or(rest);
    let is_plain = |c: char| is_of_a_name(c) || "./-+".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && (rest.is_empty() || word.starts_with(['-', '+']) && word.chars().all(is_plain))
}

/// Whether BuildKit may refuse a file because an instruction of stage number `at` copies from, or
/// is built on, something that does not exist. That holds even if the stage is not reached.
pub(super) fn may_name_nothing(
    logical: &Logical,
    escape: char,
    stages: &Stages,
    at: usize,
) -> bool {
    let is_nothing = |base: &Base| matches!(base, Base::Undecided(_));
    // Stages that take files from each other form a cycle.
    let is_later = |base: &Base| matches!(base, Base::Stage(source) if *source >= at);
    match instructions::read(logical, escape) {
        Instruction::From { .. } => {
            let stage = &stages.all[at];
            let platform = stage.platform.as_ref().map(Option::as_deref);
            let is_one = |platform| reference::platform::normal(platform).is_some();
            is_nothing(&stage.base) || !platform.is_ok_and(|platform| platform.is_none_or(is_one))
        }
        Instruction::Copy(copy) => copy.from.is_some_and(|from| {
            let source = stages.copy_source(&from);
            is_later(&source) || is_nothing(&source)
        }),
        Instruction::Run(mounts) => {
            let from = mounts.iter().filter_map(|mount| mount.from.as_deref());
            let mut sources = from.map(|from| stages.source(from));
            sources.any(|source| is_later(&source) || is_nothing(&source))
        }
        _ => false,
    }
}

fn have_names(pairs: &[(String, String)]) -> bool {
    pairs.iter().all(|(name, _)| !name.is_empty())
}

fn other(split: &Split, escape: char) -> bool {
    let rest = split.rest.as_str();
    if split.keyword == "HEALTHCHECK" {
        return is_health_check(split);
    }
    let words = || flags::blank_words(rest);
    split.flags.is_empty()
        && match split.keyword.as_str() {
            "LABEL" => {
                has_whole_words(rest, escape)
                    && instructions::pairs(rest, escape).is_ok_and(|pairs| have_names(&pairs))
            }
            "EXPOSE" => !rest.is_empty() && words().iter().all(|word| is_port(word)),
            "STOPSIGNAL" => is_signal(rest),
            "SHELL" => {
                matches!(flags::json_words(rest), JsonWords::Words(words) if !words.is_empty())
            }
            // A variable may make a word empty.
            "VOLUME" if rest.contains('$') => false,
            "VOLUME" => match flags::json_words(rest) {
                JsonWords::Words(words) => {
                    !words.is_empty() && words.iter().all(|word| !word.trim().is_empty())
                }
                JsonWords::Plain => !rest.is_empty(),
                JsonWords::Doubtful => false,
            },
            _ => !rest.is_empty(),
        }
}

fn is_number(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(word: &str) -> bool {
    let (port, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let is_port = |text: &str| is_number(text) && text.parse::<u16>().is_ok();
    matches!(protocol, "tcp" | "udp" | "sctp") && is_port(port)
}

/// Whether `word` is a signal that every system has (POSIX.1-2024, `signal.h`), by name or number.
fn is_signal(word: &str) -> bool {
    const NAMES: [&str; 12] = [
        "ABRT", "ALRM", "HUP", "INT", "KILL", "PIPE", "QUIT", "TERM", "USR1", "USR2", "WINCH",
        "CONT",
    ];
    NAMES.contains(&word.strip_prefix("SIG").unwrap_or(word))
        || word
            .parse::<u8>()
            .is_ok_and(|number| (1..=31).contains(&number))
}

fn is_health_check(split: &Split) -> bool {
    if split.rest == "NONE" {
        return split.flags.is_empty();
    }
    let is_time = |value: &str| {
        let number = value.strip_suffix(['s', 'm', 'h']);
        number.is_some_and(|number| is_number(number) && number != "0")
    };
    let is_known = |flag: &String| {
        let Some((name, value)) = flag.split_once('=') else {
            return false;
        };
        match name {
            "--interval" | "--timeout" | "--start-period" => is_time(value),
            "--retries" => is_number(value),
            _ => false,
        }
    };
    let command = split.rest.strip_prefix("CMD ");
    let mut seen = BTreeSet::new();
    let is_first = |flag: &String| seen.insert(flag.split('=').next().map(str::to_owned));
    command.is_some_and(|command| !command.trim().is_empty() && !command.trim().starts_with('['))
        && split.flags.iter().all(is_known)
        && split.flags.iter().all(is_first)
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn sure(line: &str) -> bool {
        let text = lines::read(line).unwrap();
        is_sure(&text.lines[0], text.escape)
    }

    #[test]
    fn what_every_version_takes_is_sure() {
        for line in [
            "FROM a AS b",
            "ARG A=1 B",
            "ENV A=1",
            "ENV A b c",
            "COPY --chown=1 a b",
            "RUN --mount=type=cache,target=/x make",
            "LABEL a=b c=\"d e\"",
            "LABEL a b",
            "EXPOSE 80 443/tcp 53/udp",
            "STOPSIGNAL SIGTERM",
            "STOPSIGNAL 9",
            "SHELL [\"/bin/sh\", \"-c\"]",
            "VOLUME /a /b",
            "VOLUME [\"/a\"]",
            "HEALTHCHECK NONE",
            "HEALTHCHECK --interval=5m --timeout=3s --retries=3 CMD curl -f http://localhost/ || exit 1",
            "CMD [\"a\"]",
            "ENTRYPOINT a b",
            "USER 1:1",
            "WORKDIR /a",
            "MAINTAINER me",
            "ONBUILD RUN x",
            "ONBUILD COPY --from=a b c",
            "ENV A=\"b c\" D='${' E=${F} G=${H:-i} J=\"${K+l}\"",
            "ARG A=\"x\"",
            "COPY --link --chmod=755 --from=a b c",
            "ADD --checksum=sha256:0 a b",
            "RUN --network=none --mount=type=ssh --mount=type=tmpfs,target=/x make",
        ] {
            assert!(sure(line), "{line}");
        }
    }

    #[test]
    fn what_some_version_refuses_is_not() {
        for line in [
            "LABEL a",
            "LABEL =b",
            "ENV =b",
            "ENV A",
            "EXPOSE",
            "EXPOSE x/y/z",
            "EXPOSE 80/x",
            "EXPOSE 70000",
            "EXPOSE $P",
            "STOPSIGNAL",
            "STOPSIGNAL SIGNONSENSE",
            "STOPSIGNAL a b",
            "SHELL sh -c",
            "SHELL []",
            "VOLUME",
            "VOLUME [\"\"]",
            "HEALTHCHECK nonsense",
            "HEALTHCHECK CMD",
            "HEALTHCHECK --interval=x CMD a",
            "HEALTHCHECK --interval=1s --interval=2s CMD a",
            "HEALTHCHECK --retries=1 NONE",
            "USER",
            "WORKDIR",
            "CMD --x=y a",
            "ENV A=${",
            "ENV A=\"b",
            "ENV A=${B:x}",
            "ENV A=${B%x}",
            "ENV ${=1",
            "ARG A=${",
            "ARG A='x",
            "LABEL a=${",
            "LABEL a=\"b",
            "VOLUME ${",
            "VOLUME [\"$X\"]",
            "COPY --parents a b",
            "COPY --link=perhaps a b",
            "COPY --from=a --from=b c d",
            "ADD --unpack a b",
            "RUN --device=x make",
            "RUN --network=$X make",
            "HEALTHCHECK CMD []",
            "ONBUILD ENV A",
            "ONBUILD LABEL a",
            "ONBUILD ONBUILD RUN x",
            "U\u{17f}ER 1",
            "NONSENSE",
            "RUN",
        ] {
            assert!(!sure(line), "{line}");
        }
    }
}
