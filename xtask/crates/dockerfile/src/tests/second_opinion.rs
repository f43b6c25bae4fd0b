//! Compares with another parser: if both can read a text, they read the same.

use parse_dockerfile::{Instruction, parse_iter};
use proptest::prelude::*;

use super::super::{flags, lines};

fn ours(text: &str) -> Vec<String> {
    let read = lines::read(text).unwrap();
    read.lines
        .iter()
        .map(|l| flags::split(&l.text, read.escape).unwrap().keyword)
        .collect()
}

fn theirs(text: &str) -> Option<Vec<String>> {
    let keyword = |instruction: Instruction<'_>| {
        let name = match instruction {
            Instruction::Add(_) => "ADD",
            Instruction::Arg(_) => "ARG",
            Instruction::Cmd(_) => "CMD",
            Instruction::Copy(_) => "COPY",
            Instruction::Entrypoint(_) => "ENTRYPOINT",
            Instruction::Env(_) => "ENV",
            Instruction::From(_) => "FROM",
            Instruction::Label(_) => "LABEL",
            Instruction::Run(_) => "RUN",
            Instruction::User(_) => "USER",
            Instruction::Workdir(_) => "WORKDIR",
            _ => "?",
        };
        name.to_owned()
    };
    parse_iter(text)
        .ok()?
        .map(|i| i.map(keyword).ok())
        .collect()
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("FROM a AS b"),
        Just("from --platform=linux/amd64 a"),
        Just("COPY --from=b a /x"),
        Just("ADD a \\\n  # a comment inside\n\n  b /x/"),
        Just("COPY [\"a b\", \"/x\"]"),
        Just("RUN <<EOF\nCOPY hidden /\nEOF"),
        Just("COPY <<'EOF' /x\nRUN hidden\nEOF"),
        Just("RUN a && \\\n    b"),
        Just("RUN a && \\  \n    b"),
        Just("Cmd [\"x\"]"),
        Just("ENTRYPOINT x"),
        Just("ARG A=\"b c\" D"),
        Just("ENV A b c"),
        Just("LABEL a=b"),
        Just("  WORKDIR /w"),
        Just("USER 1"),
        Just("# a comment"),
        Just(""),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn instructions_begin_and_end_where_another_parser_sees_them(
        lines in proptest::collection::vec(line(), 1..20),
        end in prop_oneof![Just("\n"), Just("\r\n")],
    ) {
        let text = format!("FROM a\n{}", lines.join("\n")).replace('\n', end) + end;
        prop_assert_eq!(Some(ours(&text)), theirs(&text));
    }
}

#[test]
fn heredocs_behind_a_command_are_where_this_reader_knows_more() {
    let text = "FROM a\nRUN cat <<EOF > /x\nnot an instruction\nEOF\nUSER 1\n";
    assert_eq!(ours(text), ["FROM", "RUN", "USER"]);
    assert_eq!(theirs(text), None);
}
