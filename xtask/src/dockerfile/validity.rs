//! Whether BuildKit surely takes an instruction.
//!
//! BuildKit reads all instructions of a file before it builds one, and refuses all for one that it
//! cannot read, in whatever stage it stands (moby/buildkit `instructions.Parse`). Some it refuses when
//! it comes to them, though nothing in the image hangs on them. Knows forms that no version refuses;
//! of any other it says that nobody knows. Is unaware of what instructions do.

use super::flags::{self, JsonWords, Split};
use super::instructions::{self, Instruction};
use super::lines::Logical;

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
