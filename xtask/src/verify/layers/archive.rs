//! Archives with images in them: engine exports, and OCI layouts in one file.
//!
//! Engines before Docker 25 write a layout of their own (`ID/layer.tar`, `manifest.json`); all
//! others write the OCI layout. The order of the files does not matter.

use std::collections::HashMap;
use std::io::{BufRead, Read as _};

use super::digest::Digest;
use super::error::Cause;
use super::image::Lists;
use super::limits::Limits;
use super::path;
use super::shelf::{Shelf, of_source};
use super::tar::{Members, Type};

/// Takes all blobs of an archive.
pub(super) fn read(
    source: impl BufRead,
    limits: Limits,
    shelf: &mut Shelf<'_>,
) -> Result<(Lists, HashMap<String, Digest>), Cause> {
    let mut members = Members::new(source, limits);
    let mut lists = Lists::default();
    let mut names = HashMap::new();
    let mut links = Vec::new();
    let broken = |cause| match cause {
        Cause::Truncated => Cause::Source {
            why: "it ends in the middle".to_owned(),
        },
        Cause::Archive { why, .. } => Cause::Source { why },
        cause => cause,
    };
    while let Some(member) = members.advance().map_err(broken)? {
        let name = path::clean(&member.name).and_then(|name| String::from_utf8(name).ok());
        let Some(name) = name.filter(|name| name.len() <= limits.name) else {
            continue;
        };
        if names.len() + links.len() > limits.blobs {
            return Err(Cause::TooMuch {
                what: "blobs",
                limit: limits.blobs as u64,
            });
        }
        match member.kind {
            Type::File if name == "index.json" => {
                lists.index = Some(list(&mut members.body(), &limits)?);
            }
            Type::File if name == "manifest.json" => {
                lists.saved = Some(list(&mut members.body(), &limits)?);
            }
            Type::File => {
                let digest = shelf.take(named(&name), members.body())?;
                names.insert(name, digest);
            }
            Type::HardLink | Type::Symlink => links.push((name, member.link, member.kind)),
            _ => {}
        }
    }
    resolve(&mut names, links);
    Ok((lists, names))
}

fn list(body: &mut impl BufRead, limits: &Limits) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    let read = body.take(limits.document + 1).read_to_end(&mut bytes);
    read.map_err(|error| of_source(&error))?;
    if bytes.len() as u64 > limits.document {
        return Err(Cause::TooMuch {
            what: "bytes of the list of images",
            limit: limits.document,
        });
    }
    Ok(bytes)
}

/// The digest in the name of a blob.
fn named(name: &str) -> Option<Digest> {
    let hex = name.strip_prefix("blobs/sha256/")?;
    format!("sha256:{hex}").parse().ok()
}

/// Resolves links between files: Docker before version 25 stores a layer once and links to it from
/// its further places.
fn resolve(names: &mut HashMap<String, Digest>, links: Vec<(String, Vec<u8>, Type)>) {
    let targets = links.into_iter().filter_map(|(name, link, kind)| {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let link = String::from_utf8(link).ok()?;
        let target = match (kind, link.strip_prefix("../")) {
            (Type::Symlink, Some(outside)) => {
                let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
                join(above, outside)
            }
            (Type::Symlink, None) => join(folder, &link),
            _ => link,
        };
        Some((name, target))
    });
    // One step is enough, as no link leads to another link.
    let found: Vec<_> = targets
        .filter_map(|(name, target)| Some((name, *names.get(&target)?)))
        .collect();
    names.extend(found);
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
