//! A first verification, beside a program that only reads the same layers; and a verification that
//! is answered from its record, beside a build that finds nothing to do.

use std::io::{self, BufRead, BufReader, Read};
use std::process::Command;

use camino::Utf8Path;

use super::measure::Side;
use super::peers::BUILD;
use super::table::Row;
use super::{Bench, Place, tree};
use crate::fault::{Fault, Result};
use crate::outside::engine;

const RECIPE: &str = "four contexts of 300 MB (1)";
const STAGES: usize = 4;
const FIRST: &str = "cargo xtask verify, nothing read before";
const RECORDED: &str = "cargo xtask verify, from its record";
const BARE: &str = "a bare program, which exports, decompresses and walks the layers";
/// How much time a first verification may take, as a multiple of the bare program's.
const OF_BARE: f64 = 1.3;
/// How many milliseconds longer than a no-op build an answer from the record may take.
const MORE: f64 = 2.0;
/// How many megabytes of memory a first verification may have.
const MEMORY: f64 = 200.0;

impl Bench {
    /// Four images of 300 MB.
    pub(super) fn verify(&mut self) -> Result<()> {
        let Some(engine) = self.engine("verify")? else {
            return Ok(());
        };
        let host = engine.host();
        let folder = self.folder.join("images-to-verify");
        tree::once(&folder, RECIPE, |folder| tree::images(folder, STAGES))?;
        let place = Place {
            graph: folder.join("build-graph.toml"),
            state: self.folder.join("state-verify"),
            host: &host,
            path: None,
        };
        self.settle(&place)?;
        let verify = || self.xtask(&place, &["verify"]);
        let forget = || forget(&place.state);
        let sides = [
            Side::new(FIRST, verify).before(forget),
            Side::new(BARE, || {
                let mut command = Command::new(&self.program);
                command.args(["bench", "--bare-images", &STAGES.to_string()]);
                command.env("DOCKER_HOST", &host);
                command
            }),
        ];
        crate::tell!("verify: {} runs of each", self.runner.runs());
        let first = self.runner.measure(&sides)?;
        drop(sides);
        let sides = [
            Side::new(RECORDED, verify),
            Side::new(BUILD, || self.xtask(&place, &["build"])),
        ];
        let recorded = self.runner.measure(&sides)?;
        drop(sides);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
        let megabytes = first[0].memory as f64 / 1e6;
        let more = recorded[0].times.median() - recorded[1].times.median();
        let read = Row::ours("verify", FIRST, &first[0]);
        let barely = Row::peer(BARE, &first[1], &read, Some(OF_BARE));
        self.report.rows.extend([
            read,
            barely,
            Row::derived("verify", "its memory", megabytes, "MB", MEMORY),
            Row::ours("verify", RECORDED, &recorded[0]),
            Row::ours("verify", BUILD, &recorded[1]),
            Row::derived("verify", "the record beside it", more, "ms more", MORE),
        ]);
        Ok(())
    }
}

/// Removes everything that verifications have kept.
fn forget(state: &Utf8Path) -> Result<()> {
    let fault = |error: io::Error| Fault::lacks(format!("cannot empty {state}: {error}"));
    for graph in state.read_dir_utf8().map_err(fault)? {
        let kept = graph.map_err(fault)?.path().join("verified");
        match std::fs::remove_dir_all(kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Exports the images of the bench and walks every entry of every layer.
pub fn read_barely(images: usize) -> Result<()> {
    let names: Vec<String> = (0..images).map(tree::image_name).collect();
    let export = engine::Engine::find().export(&names)?;
    walk(export).map_err(|error| Fault::failed(format!("cannot read the images: {error}")))
}

fn walk(export: impl BufRead) -> io::Result<()> {
    let mut archive = tar::Archive::new(export);
    for entry in archive.entries()? {
        let mut blob = BufReader::with_capacity(1 << 16, entry?);
        let start = blob.fill_buf()?;
        if start.starts_with(&[0x1f, 0x8b]) {
            let plain = flate2::bufread::MultiGzDecoder::new(blob);
            layer(BufReader::with_capacity(1 << 16, plain))?;
        } else if start.len() > 262 && &start[257..262] == b"ustar" {
            layer(blob)?;
        }
    }
    Ok(())
}

fn layer(plain: impl Read) -> io::Result<()> {
    for entry in tar::Archive::new(plain).entries()? {
        io::copy(&mut entry?, &mut io::sink())?;
    }
    Ok(())
}
