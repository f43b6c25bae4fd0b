//! A Dockerfile as a value: stages and their instructions as text.
//!
//! Knows how it is written down. Is unaware of what instructions mean.

/// Stands for the case's nonce.
pub const NONCE: &str = "@N@";

#[derive(Debug, Clone)]
pub struct Recipe {
    /// `\`, or a backtick by a directive.
    pub escape: char,
    /// What stands in front of the first FROM.
    pub head: Vec<String>,
    pub stages: Vec<Stage>,
}

/// A Dockerfile stage.
#[derive(Debug, Clone)]
pub struct Stage {
    pub from: String,
    pub name: Option<String>,
    /// Whether the generator put it on something with a shell.
    pub shell: bool,
    /// Instructions and comments; an instruction may have more than one line.
    pub lines: Vec<String>,
}

impl Recipe {
    /// The file. Each stage begins with a folder named by the nonce, and no other case has it: so
    /// no two cases ever share a cached step.
    pub fn text(&self, nonce: &str) -> String {
        let mut out = String::new();
        if self.escape != '\\' {
            out.push_str(&format!("# escape={}\n", self.escape));
        }
        for line in &self.head {
            out.push_str(&format!("{line}\n"));
        }
        for stage in &self.stages {
            let name = stage.name.as_ref();
            let name = name.map_or_else(String::new, |name| format!(" AS {name}"));
            out.push_str(&format!("FROM {}{name}\nWORKDIR /{NONCE}\n", stage.from));
            for line in &stage.lines {
                out.push_str(&format!("{line}\n"));
            }
        }
        out.replace(NONCE, nonce)
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.stages.iter().filter_map(|stage| stage.name.clone());
        names.collect()
    }
}
