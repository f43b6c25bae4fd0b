//! One reading: a source, all rules, two threads.
//!
//! One thread reads the source, hashes its blobs and decompresses layers. The other walks their
//! archives, hashes files and runs the rules. On two processors that takes as long as decompressing
//! alone.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use super::digest::Digest;
use super::error::Cause;
use super::image::{Blobs, FoundImages, Lists};
use super::layer::Layer;
use super::limits::Limits;
use super::pipe::{self, PipeReader, PlainStream};
use super::rule::{ContentRule, Findings, Pass};
use super::scan::scan;
use super::shelf::{GivenUp, Known, Pending, Shelf};
use super::table::FileTable;
use crate::fault::{Fault, Result as FaultResult};
use crate::outside::engine::Engine;
use crate::outside::interrupt;

/// How images are read.
pub struct Reading<'a> {
    /// Bounds on time and memory.
    pub limits: Limits,
    /// The rules. All of them look in one pass.
    pub rules: &'a mut [Box<dyn ContentRule>],
    /// Returns a layer by its blob's digest, if it was read before and all present rules have
    /// looked at it (`Layer::was_seen_by`). Such a layer is not read again.
    pub known: Known<'a>,
}

impl Reading<'_> {
    /// Reads images from an engine in one stream, whichever store it has. An error means that the
    /// engine failed. What is wrong with an image stands in its parts.
    pub fn engine(self, engine: &Engine, names: &[String]) -> FaultResult<Vec<FoundImages>> {
        let found = self.archive(engine.export(names)?, names);
        if interrupt::is_wanted() {
            Err(Fault::interrupted())
        } else {
            Ok(found)
        }
    }

    /// Reads images from the output of `docker save` or `docker buildx build --output type=oci`.
    /// Without names, all images are read.
    pub fn archive(self, source: impl BufRead, names: &[String]) -> Vec<FoundImages> {
        let limits = self.limits;
        self.read(names, |shelf| super::archive::read(source, limits, shelf))
    }

    /// Reads images from an OCI layout, and in it only the files that are needed. Without names,
    /// all images are read. A name is a tag or a digest.
    pub fn folder(self, folder: &camino::Utf8Path, names: &[String]) -> Vec<FoundImages> {
        let limits = self.limits;
        self.read(names, |shelf| {
            super::folder::read(folder, limits, names, shelf)
        })
    }

    fn read(
        self,
        names: &[String],
        fill: impl FnOnce(&mut Shelf<'_>) -> Result<(Lists, HashMap<String, Digest>), Cause>,
    ) -> Vec<FoundImages> {
        let (limits, known) = (self.limits, self.known);
        let mut pass = Pass::new(self.rules);
        let given_up = GivenUp::default();
        let (writer, reader) = pipe::pipe();
        let (filled, blobs, misnamed, pending, looked) = std::thread::scope(|scope| {
            let looker = scope.spawn(|| look(reader, limits, &mut pass, &given_up));
            let mut shelf = Shelf::new(limits, known, writer, &given_up);
            let filled = fill(&mut shelf);
            // Dropping the writer closes the pipe, which ends the other thread.
            let Shelf {
                blobs,
                misnamed,
                pending,
                writer,
                ..
            } = shelf;
            drop(writer);
            let looked = looker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (filled, blobs, misnamed, pending, looked)
        });
        let (lists, files) = match filled {
            Ok(filled) => filled,
            Err(cause) => return all_unread(names, &cause),
        };
        let layers = pending
            .into_iter()
            .zip(looked)
            .map(|(pending, seen)| layer(pending, seen?));
        let layers = layers.collect();
        Blobs {
            limits,
            blobs,
            misnamed,
            layers,
            names: files,
        }
        .found(&lists, names)
    }
}

fn all_unread(names: &[String], cause: &Cause) -> Vec<FoundImages> {
    if names.is_empty() {
        return vec![FoundImages::unread("of the source", cause.clone())];
    }
    names
        .iter()
        .map(|name| FoundImages::unread(name, cause.clone()))
        .collect()
}

/// What the other thread found in a layer.
struct Seen {
    table: FileTable,
    findings: Vec<Findings>,
    /// `None` if the blob itself is not compressed.
    diff_id: Option<Digest>,
    plain: u64,
}

fn layer(pending: Pending, seen: Seen) -> Result<Arc<Layer>, Cause> {
    Ok(Arc::new(Layer {
        digest: pending.digest,
        diff_id: seen.diff_id.unwrap_or(pending.digest),
        compression: pending.compression,
        compressed: pending.compressed,
        plain: seen.plain,
        table: seen.table,
        findings: seen.findings,
    }))
}

/// Scans one layer after the other.
fn look(
    reader: PipeReader,
    limits: Limits,
    pass: &mut Pass<'_>,
    given_up: &GivenUp,
) -> Vec<Result<Seen, Cause>> {
    let mut all = Vec::new();
    while let Some(needs_digest) = reader.begin() {
        let mut plain = PlainStream::new(&reader, needs_digest);
        let table = scan(&mut plain, limits, pass);
        let findings = pass.finish();
        if table.is_err() {
            given_up.set(all.len());
        }
        // If both failed, the cause that ended the bytes says more.
        let seen = match (plain.finish(), table) {
            (Err(cause), _) | (Ok(_), Err(cause)) => Err(cause),
            (Ok((diff_id, plain)), Ok(table)) => Ok(Seen {
                table,
                findings,
                diff_id,
                plain,
            }),
        };
        all.push(seen);
    }
    all
}
