//! What the services of a bundle mount.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::contexts::{self, Layers};
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use dockerignore::Ignore;

/// Where the copies lie in a bundle.
const FILES: &str = "files";

/// Copies what services mount from the compose file's folder into the bundle, and lets them mount
/// the copy. Other folders are the machine's own, such as the engine's socket.
pub(super) fn copy(
    work: &Workspace,
    config: &mut Value,
    base: &Utf8Path,
    new: &Utf8Path,
) -> Result<()> {
    let mut copies: BTreeMap<Utf8PathBuf, String> = BTreeMap::new();
    let mut copied = |source: &str| -> Result<Option<String>> {
        let source = Utf8PathBuf::from(source);
        let Ok(inner) = source.strip_prefix(base) else {
            crate::tell!("note: {source} is not in the bundle, as it is outside of {base}");
            return Ok(None);
        };
        if let Some(known) = copies.get(&source) {
            return Ok(Some(known.clone()));
        }
        let place = format!(
            "{FILES}/{}/{}",
            copies.len(),
            inner.file_name().unwrap_or("all")
        );
        copy_one(work, &source, &new.join(&place))?;
        let told = format!("./{place}");
        copies.insert(source, told.clone());
        Ok(Some(told))
    };
    let services = config.get_mut("services").and_then(Value::as_object_mut);
    for (_, service) in services.into_iter().flatten() {
        let mounts = service.get_mut("volumes").and_then(Value::as_array_mut);
        for mount in mounts.into_iter().flatten() {
            if mount["type"] == "bind"
                && let Some(source) = mount["source"].as_str()
                && let Some(copy) = copied(source)?
            {
                mount["source"] = copy.into();
            }
        }
    }
    for kind in ["configs", "secrets"] {
        let all = config.get_mut(kind).and_then(Value::as_object_mut);
        for (_, one) in all.into_iter().flatten() {
            if let Some(source) = one["file"].as_str()
                && let Some(copy) = copied(source)?
            {
                one["file"] = copy.into();
            }
        }
    }
    Ok(())
}

fn copy_one(work: &Workspace, source: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let fault = |error: io::Error| Fault::lacks(format!("cannot copy {source}: {error}"));
    let meta = match fs::metadata(source) {
        // Compose would make it, too.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return fs::create_dir_all(to).map_err(fault);
        }
        meta => meta.map_err(fault)?,
    };
    if meta.is_dir() {
        let layers = Layers {
            folders: vec![source.to_owned()],
        };
        let states = work.state.beside();
        return contexts::materialise(&layers, &Ignore::default(), states, to)
            .map_err(|error| Fault::failed(error.to_string()));
    }
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(fault)?;
    fs::copy(source, to).map(drop).map_err(fault)
}
