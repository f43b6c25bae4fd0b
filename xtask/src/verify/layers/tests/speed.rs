//! Memory for each entry.

use super::super::*;
use super::support::{Tar, layer};

#[test]
fn an_entry_takes_some_150_bytes() {
    let mut tar = Tar::default();
    let folder = "usr/lib/python3/dist-packages/something";
    for number in 0..20_000 {
        tar = tar.file(&format!("{folder}/module_{number}.py"), "");
    }
    let layer: std::sync::Arc<Layer> = layer(&tar.end()).unwrap();
    let each = layer.table.memory() / layer.table.len();
    assert!(each < 150, "{each}");
}
