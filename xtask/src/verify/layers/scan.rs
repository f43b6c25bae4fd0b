//! Walks one layer's uncompressed archive once, and gathers entries, hashes, heads and findings.

use std::io::BufRead;

use super::entry::Entry;
use super::error::Cause;
use super::head;
use super::limits::Limits;
use super::rule::Pass;
use super::table::FileTable;
use super::tar::{Members, TarMember, Type};

/// Reads an archive to its end.
pub(super) fn scan(
    source: impl BufRead,
    limits: Limits,
    pass: &mut Pass<'_>,
) -> Result<FileTable, Cause> {
    let mut members = Members::new(source, limits);
    let mut table = FileTable::default();
    let mut logical = 0_u64;
    while let Some(member) = members.advance().map_err(|cause| cause.at(last(&table)))? {
        logical = logical.saturating_add(member.size);
        if logical > limits.layer {
            return Err(Cause::TooMuch {
                what: "bytes of a layer",
                limit: limits.layer,
            });
        }
        let number = table.push(&member, &limits)?;
        let entry = table.entry(number);
        pass.start(number, &entry);
        if member.kind == Type::File && entry.is_file() {
            let (hash, head) = content(&mut members, &member, pass)?;
            table.read(number, hash, head);
            pass.end(number, &table.entry(number));
        }
    }
    members.finish()?;
    table.finish();
    Ok(table)
}

fn last(table: &FileTable) -> &[u8] {
    let number = table.len().checked_sub(1);
    number
        .map(|number| table.entry(number))
        .map_or(b"", |Entry { path, .. }| path)
}

fn content<R: BufRead>(
    members: &mut Members<R>,
    member: &TarMember,
    pass: &mut Pass<'_>,
) -> Result<([u8; 32], Option<super::Head>), Cause> {
    let mut hasher = blake3::Hasher::new();
    let mut start = Start::default();
    members.data(member, &mut |bytes| {
        hasher.update(bytes);
        start.take(bytes, member.size);
        pass.chunk(bytes);
        Ok(())
    })?;
    Ok((*hasher.finalize().as_bytes(), start.said))
}

/// The first bytes of a file. They are kept only while more are needed.
#[derive(Default)]
struct Start {
    kept: Vec<u8>,
    said: Option<super::Head>,
    is_over: bool,
}

impl Start {
    fn take(&mut self, bytes: &[u8], size: u64) {
        if self.is_over {
            return;
        }
        let wanted = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(head::LENGTH);
        if self.kept.is_empty() && bytes.len() >= wanted {
            self.is_over = true;
            self.said = head::read(&bytes[..wanted]);
            return;
        }
        let missing = (wanted - self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..missing]);
        self.is_over = self.kept.len() >= wanted || !head::may_say(&self.kept);
        if self.is_over {
            self.said = head::read(&self.kept);
            self.kept = Vec::new();
        }
    }
}
