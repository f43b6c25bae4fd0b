//! What a call lays over the graph file.

use std::collections::BTreeMap;

/// The profiles and the values of variables that the command line gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// Names of profiles; a later one is laid over the earlier ones.
    pub profiles: Vec<String>,
    /// Values of variables, by name. They win over the file and the environment.
    pub vars: BTreeMap<String, String>,
}

impl GraphOptions {
    /// One profile, or none.
    pub fn profile(name: Option<&str>) -> Self {
        Self {
            profiles: name.map(str::to_owned).into_iter().collect(),
            vars: BTreeMap::new(),
        }
    }
}
