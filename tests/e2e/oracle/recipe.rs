//! A Dockerfile as a value: stages and their instructions as text.

/// Stands for the case's nonce.
pub const NONCE: &str = "@N@";

#[derive(Debug, Clone)]
pub struct Recipe {
    /// `\`, or a backtick, which a directive sets.
    pub escape: char,
    /// The lines in front of the first FROM.
    pub head: Vec<String>,
    pub stages: Vec<Stage>,
}

/// A Dockerfile stage.
#[derive(Debug, Clone)]
pub struct Stage {
    pub from: String,
    pub name: Option<String>,
    /// Whether the generator put it on a base with a shell.
    pub shell: bool,
    /// Instructions and comments. An instruction may have more than one line.
    pub lines: Vec<String>,
}

impl Recipe {
    /// The text of the file. Each stage begins with a folder named by the nonce, which no other
    /// case has. So no two cases ever share a cached step.
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
