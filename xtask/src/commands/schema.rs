//! `cargo xtask schema`: prints the JSON Schema of the graph file, for editors.

use crate::fault::Result;
use crate::graphfile::spec::SCHEMA;

/// Prints the schema as it is committed. A unit test holds it against the types.
pub fn run() -> Result<()> {
    super::print(SCHEMA);
    Ok(())
}
