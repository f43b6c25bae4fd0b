//! Whether BuildKit surely takes an instruction.
//!
//! BuildKit reads all instructions of a file before it builds one, and refuses all for one that it
//! cannot read, in whatever stage it stands (moby/buildkit `instructions.Parse`). Some it refuses when
//! it comes to them, though nothing in the image hangs on them. Knows forms that no version refuses;
//! of any other it says that nobody knows. Is unaware of what instructions do.

use super::flags::{self, JsonWords, Split};
use super::instructions::{self, Instruction};
use super::lines::Logical;
use super::stages::{Base, Stages};

/// Whether no version of BuildKit refuses a file for this instruction, wherever it stands.
pub(super) fn is_sure(logical: &Logical, escape: char) -> bool {
    let Ok(split) = flags::split(&logical.text, escape) else {
        return false;
    };
    match instructions::read(logical, escape) {
        Instruction::Unreadable(_) => false,
        Instruction::Env(pairs) => have_names(&pairs),
        Instruction::Run(_) => !split.rest.is_empty(),
        Instruction::Other => other(&split, escape),
        _ => true,
    }
}

/// Whether BuildKit may refuse a file for what an instruction of stage number `at` takes files from, or
/// stands on, although nobody reaches that stage.
pub(super) fn may_name_nothing(
    logical: &Logical,
    escape: char,
    stages: &Stages,
    at: usize,
) -> bool {
    let is_sure = |base: &Base| match base {
        Base::Scratch | Base::Stage(_) | Base::Context(_) => true,
        Base::Image { written, .. } => is_sure_reference(written),
        Base::Undecided(_) => false,
    };
    match instructions::read(logical, escape) {
        Instruction::From { image, .. } => {
            let stage = &stages.all[at];
            let platform = stage.platform.as_ref().map(Option::as_deref);
            let is_lower = image.contains('$') || !image.contains(|c: char| c.is_ascii_uppercase());
            !is_sure(&stage.base)
                || !is_lower && !matches!(stage.base, Base::Image { .. })
                || !platform.is_ok_and(|platform| platform.is_none_or(is_sure_platform))
        }
        Instruction::Copy(copy) => copy.from.is_some_and(|from| {
            let source = stages.copy_source(&from);
            let is_later = matches!(source, Base::Stage(source) if source >= at);
            is_later || !is_sure(&source)
        }),
        Instruction::Run(mounts) => {
            let from = mounts.iter().filter_map(|mount| mount.from.as_deref());
            from.map(|from| stages.source(from))
                .any(|source| !is_sure(&source))
        }
        _ => false,
    }
}

/// A reference in a form that every version takes: a lower-case path, a tag, a whole digest.
fn is_sure_reference(written: &str) -> bool {
    let (name, digest) = match written.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (written, None),
    };
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_part = |part: &str| {
        let (host, port) = part.split_once(':').unwrap_or((part, "1"));
        !host.is_empty()
            && host
                .split(['.', '-', '_'])
                .all(|word| !word.is_empty() && word.chars().all(is_lower))
            && is_number(port)
    };
    let is_tag = |tag: &str| {
        let is_of_a_tag = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        (1..=128).contains(&tag.len())
            && tag.chars().all(is_of_a_tag)
            && !tag.starts_with(['.', '-'])
    };
    let is_digest = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64
            && hex
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    path.len() < 200
        && path.split('/').all(is_part)
        && (!path.contains(':') || path.contains('/'))
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn is_sure_platform(platform: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let words: Vec<&str> = platform.split('/').collect();
    (1..=3).contains(&words.len()) && words.into_iter().all(is_word)
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
            "LABEL" => instructions::pairs(rest, escape).is_ok_and(|pairs| have_names(&pairs)),
            "EXPOSE" => !rest.is_empty() && words().iter().all(|word| is_port(word)),
            "STOPSIGNAL" => is_signal(rest),
            "SHELL" => {
                matches!(flags::json_words(rest), JsonWords::Words(words) if !words.is_empty())
            }
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

/// Those that every system has (POSIX.1-2024, `signal.h`), by name or number.
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
    let mut seen = std::collections::BTreeSet::new();
    let is_first = |flag: &String| seen.insert(flag.split('=').next().map(str::to_owned));
    command.is_some_and(|command| !command.trim().is_empty())
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
            "NONSENSE",
            "RUN",
        ] {
            assert!(!sure(line), "{line}");
        }
    }
}
