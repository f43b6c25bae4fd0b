//! The scripts. Each asks the program that printed it, so a key press compiles nothing, and runs
//! nothing of a folder that somebody only looks at.

use crate::cli::Shell;
use crate::graphfile::call::quoted;

/// What stands for the path of the program.
const PROGRAM: &str = "@PROGRAM@";

/// The script for a shell, which calls the program at this path.
pub(super) fn of(shell: Shell, program: &str) -> String {
    let (text, path) = match shell {
        Shell::Bash => (include_str!("xtask.bash"), quoted(program).into_owned()),
        Shell::Zsh => (include_str!("xtask.zsh"), quoted(program).into_owned()),
        Shell::Fish => (include_str!("xtask.fish"), quoted_for_fish(program)),
    };
    text.replacen(PROGRAM, &path, 1)
}

/// Within quotes, fish also reads a backslash (fishshell.com/docs/current/language.html, *Quotes*).
fn quoted_for_fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_names_its_program_once_as_one_word() {
        for (shell, word) in [
            (Shell::Bash, r"by='/a b/it'\''s/\x'"),
            (Shell::Zsh, r"by='/a b/it'\''s/\x'"),
            (Shell::Fish, r"by '/a b/it\'s/\\x'"),
        ] {
            let script = of(shell, r"/a b/it's/\x");
            assert_eq!(script.matches(word).count(), 1, "{script}");
            assert!(!script.contains(PROGRAM), "{script}");
            assert!(script.contains("completions -- "), "{script}");
            assert!(script.contains("_xtask_cargo") || script.contains("-c cargo"));
        }
    }
}
