//! What a call lays over the graph file.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

/// The profiles, the values of variables and the output that the command line gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// Names of profiles; a later one is laid over the earlier ones.
    pub profiles: Vec<String>,
    /// Values of variables, by name. They win over the file and the environment.
    pub vars: BTreeMap<String, String>,
    /// Where every image is put, in place of each `output` of the file: one of its words.
    pub output: Option<String>,
    /// Where sources are, in place of what the file and the environment say.
    pub sources: BTreeMap<String, Utf8PathBuf>,
}

impl GraphOptions {
    /// One profile, or none.
    pub fn profile(name: Option<&str>) -> Self {
        Self {
            profiles: name.map(str::to_owned).into_iter().collect(),
            ..Self::default()
        }
    }
}
