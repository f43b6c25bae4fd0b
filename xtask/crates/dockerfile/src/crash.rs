//! Finds Dockerfiles that have a FROM and still make BuildKit before 0.15 panic.
//!
//! The cause is `${A#}` or `${A%}` with nothing, or only empty text, behind the sign. The engine
//! dies with every build on it (tried with Docker 26.1.5; moby/buildkit `shell/lex.go` as of
//! v0.13.2 and v0.14.0). Only texts that BuildKit expands are checked.

use super::error::DockerfileError;
use super::flags;
use super::heredoc;
use super::instructions::Instruction;
use super::lines::Logical;
use super::scope::{Budget, Given, Limited, Scope};
use super::words::{self, Lookup, Trimmed, Value};

/// The panic that an instruction causes in a stage that is built.
pub(super) fn in_stage(
    logical: &Logical,
    escape: char,
    scope: &Scope,
    budget: &Budget,
) -> Option<DockerfileError> {
    let env = Limited { scope, budget };
    let body = logical.heredocs.first();
    let found = match flags::keyword(&logical.text).as_str() {
        "CMD" | "ENTRYPOINT" | "HEALTHCHECK" | "MAINTAINER" | "ONBUILD" | "SHELL" => None,
        "RUN" => {
            let title = |text: &str| words::trims_nothing(text, escape, &env, true);
            // The title of a step with a script in a heredoc includes the script's first line.
            let script = body.filter(|_| is_script(logical, escape));
            let first = script.and_then(|script| script.body.trim().lines().next());
            title(&logical.text).or_else(|| first.and_then(title))
        }
        _ => words::trims_nothing(&logical.text, escape, &env, false).or_else(|| {
            let bodies = logical.heredocs.iter().filter(|heredoc| heredoc.expand);
            bodies
                .map(|heredoc| heredoc.body.as_str())
                .find_map(plainly)
        }),
    };
    found.map(|trimmed| at(logical.line, &trimmed))
}

/// The panic that a line in front of the stages, or any FROM, causes. `scope` has the variables at
/// that line.
pub(super) fn outside_stages(
    instruction: &Instruction,
    (line, escape): (usize, char),
    given: Given<'_>,
    (scope, budget): (&Scope, &Budget),
) -> Option<DockerfileError> {
    let env = Limited { scope, budget };
    let trims = |text: &String| words::trims_nothing(text, escape, &env, false);
    let found = match instruction {
        Instruction::Arg(pairs) => {
            let own = pairs.iter().filter(|(name, _)| given.value(name).is_none());
            own.filter_map(|(_, default)| default.as_ref())
                .find_map(trims)
        }
        Instruction::From {
            image, platform, ..
        } => [Some(image), platform.as_ref()]
            .into_iter()
            .flatten()
            .find_map(trims),
        _ => None,
    };
    found.map(|trimmed| at(line, &trimmed))
}

fn is_script(logical: &Logical, escape: char) -> bool {
    let split = flags::split(&logical.text, escape);
    split.is_ok_and(|split| matches!(heredoc::from_word(&split.rest, true), Ok(Some(_))))
}

/// What trims nothing in a heredoc's body, where quotes have no meaning.
fn plainly(body: &str) -> Option<Trimmed> {
    struct Nothing;
    impl Lookup for Nothing {
        fn value(&self, _: &str) -> Value {
            Value::Blank
        }
    }
    let mut variables = body.match_indices("${");
    variables.find_map(|(at, _)| {
        let length = body[at..].find('}')? + 1;
        let variable = &body[at..at + length];
        let is_escaped = body[..at].ends_with('\\');
        let is_plain = !variable.contains(['\'', '"', '\\']) && !is_escaped;
        is_plain.then(|| words::trims_nothing(variable, '\\', &Nothing, false))?
    })
}

fn at(line: usize, trimmed: &Trimmed) -> DockerfileError {
    DockerfileError::TrimsNothing {
        line,
        written: trimmed.to_string(),
        plain: format!("${{{}}}", trimmed.name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::DockerfileError;
    use super::super::tests::support::ask;

    /// Each was tried with Docker 26.1.5.
    #[test]
    fn what_kills_an_engine_is_refused() {
        for (line, text) in [
            (1, "ARG A=${PATH#}\nFROM a"),
            (2, "ARG A=b\nFROM ${A%}"),
            (1, "FROM ${A%} AS unused\nFROM a"),
            (2, "FROM a\nCOPY x /${Z#}"),
            (2, "FROM a\nLABEL x=${PATH#}"),
            (2, "FROM a\nARG Q=${PATH#}"),
            (2, "FROM a\nSTOPSIGNAL ${PATH#}"),
            (3, "FROM scratch\nENV A=1\nENV B=${A%}"),
            (2, "FROM scratch\nRUN [\"/a\", \"${PATH%}\"]"),
            (2, "FROM scratch\nRUN echo ${PATH%}"),
            (2, "FROM scratch\nRUN echo \"${PATH%}\""),
            (3, "FROM scratch\nENV E=\nRUN echo ${PATH%$E}"),
            (2, "FROM scratch\nCOPY <<E /\nit's ${PATH%}\nE"),
            (2, "FROM scratch\nRUN <<E\necho ${PATH%}\nE"),
        ] {
            let refused = match ask().platform("linux/amd64").read(text) {
                Err(DockerfileError::TrimsNothing { line, .. }) => Some(line),
                _ => None,
            };
            assert_eq!(refused, Some(line), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "FROM scratch\nRUN x=1; echo ${x%}",
            "FROM scratch\nRUN echo '${PATH%}'",
            "FROM scratch\nRUN echo ${PATH%\"\"}",
            "FROM scratch\nRUN echo \\${PATH%}",
            "FROM scratch\nCMD echo ${PATH%}",
            "FROM scratch\nENTRYPOINT a ${PATH#}",
            "FROM scratch\nSHELL [\"a\", \"${PATH#}\"]",
            "FROM scratch\nHEALTHCHECK CMD echo ${PATH#}",
            "FROM scratch\nMAINTAINER ${PATH#}",
            "FROM scratch\nONBUILD LABEL a=${PATH#}",
            "FROM scratch AS x\nCOPY a /${PATH%}\nFROM scratch\nCOPY a /",
            "FROM scratch\nCOPY <<\"E\" /\n${PATH%}\nE",
            "FROM scratch\nRUN cat <<E\necho ${PATH%}\nE",
            "FROM scratch\nRUN <<E\nset -e\necho ${PATH%}\nE",
            "ARG Q=${PATH##}\nFROM scratch\nCOPY a /",
            "# syntax=docker/dockerfile:1\nFROM scratch\nRUN echo ${PATH%}",
        ] {
            assert!(ask().platform("linux/amd64").read(text).is_ok(), "{text}");
        }
        let given = ask().arg("A", "b").read("ARG A=${PATH#}\nFROM $A");
        assert!(given.is_ok());
    }
}
