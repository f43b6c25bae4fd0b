//! The entries of an archive, one after the other.

use std::io::{BufRead, Error, ErrorKind, Read};

use tar::{GnuExtSparseHeader, Header};

use super::super::error::Cause;
use super::super::limits::Limits;
use super::header::{self, BLOCK, HeaderLayout, Raw};
use super::pax::{self, Pax};
use super::sparse::{self, Map, Segment};

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A file.
    File,
    /// Another name of a file.
    HardLink,
    /// A symlink.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
}

/// An entry, as the archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// Its kind.
    pub kind: Type,
    /// Its name, not cleaned.
    pub name: Vec<u8>,
    /// The target of a link. Empty for all other kinds.
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size of a file, holes included. 0 for all other kinds.
    pub size: u64,
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// A device's major and minor number.
    pub device: (u32, u32),
    segments: Option<Vec<Segment>>,
}

/// Reads one entry after the other. Bytes of an entry that are not read are skipped.
pub struct Members<R> {
    source: R,
    limits: Limits,
    /// Bytes of the current entry that are still to come.
    left: u64,
    /// Zeros after them, up to the end of a block.
    padding: u64,
}

impl<R: BufRead> Members<R> {
    /// Reads an archive that begins here.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            source,
            limits,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry. `None` after the last one.
    pub fn advance(&mut self) -> Result<Option<TarMember>, Cause> {
        let (mut pax, mut name, mut link) = (None, None, None);
        loop {
            self.skip_rest()?;
            let Some(block) = self.header()? else {
                if pax.is_some() || name.is_some() || link.is_some() {
                    return Err(Cause::Truncated);
                }
                return Ok(None);
            };
            let raw = header::read(&block)?;
            match raw.flag {
                b'x' => pax = Some(Pax::read(&self.special(&raw)?)?),
                // A global header is for all entries that follow. Engines ignore it.
                b'g' => drop(self.special(&raw)?),
                b'L' => name = Some(until_nul(self.special(&raw)?)),
                b'K' => link = Some(until_nul(self.special(&raw)?)),
                _ => {
                    return self
                        .member(raw, &block, pax.unwrap_or_default(), name, link)
                        .map(Some);
                }
            }
        }
    }

    /// Checks that only zeros follow the archive's end, as some readers see other bytes and some do
    /// not.
    pub fn finish(mut self) -> Result<(), Cause> {
        loop {
            let bytes = self.source.fill_buf().map_err(|error| of_io(&error))?;
            if bytes.is_empty() {
                return Ok(());
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(Cause::archive("it has data after its end"));
            }
            let length = bytes.len();
            self.source.consume(length);
        }
    }

    /// The stored bytes of the current entry.
    pub fn body(&mut self) -> MemberBody<'_, R> {
        MemberBody(self)
    }

    /// Passes all bytes of the current entry to `sink`, with the zeros of its holes.
    pub fn data(
        &mut self,
        member: &TarMember,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let Some(segments) = &member.segments else {
            let length = self.left;
            return self.stored(length, sink);
        };
        let mut at = 0;
        for segment in segments {
            zeros(segment.offset - at, sink)?;
            self.stored(segment.length, sink)?;
            at = segment.offset + segment.length;
        }
        zeros(member.size - at, sink)
    }

    fn stored(
        &mut self,
        length: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let mut wanted = length;
        while wanted > 0 {
            let bytes = self.source.fill_buf().map_err(|error| of_io(&error))?;
            let taken = bytes
                .len()
                .min(usize::try_from(wanted).unwrap_or(usize::MAX));
            if taken == 0 {
                return Err(Cause::Truncated);
            }
            sink(&bytes[..taken])?;
            self.source.consume(taken);
            wanted -= taken as u64;
            self.left -= taken as u64;
        }
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<(), Cause> {
        self.left += std::mem::take(&mut self.padding);
        let length = self.left;
        self.stored(length, &mut |_| Ok(()))
    }

    /// A header block. `None` at the archive's end: two blocks of zeros, or no more bytes.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Cause> {
        match self.block()? {
            Some(block) if header::is_zero(&block) => match self.block()? {
                Some(block) if !header::is_zero(&block) => Err(Cause::archive(
                    "it has a block of zeros between two entries",
                )),
                _ => Ok(None),
            },
            block => Ok(block),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Cause> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Cause::Truncated),
                Ok(length) => filled += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(of_io(&error)),
            }
        }
        Ok(Some(block))
    }

    fn begin(&mut self, stored: u64) {
        self.left = stored;
        self.padding = stored.wrapping_neg() % BLOCK as u64;
    }

    /// The content of an extended header.
    fn special(&mut self, raw: &Raw) -> Result<Vec<u8>, Cause> {
        let size = u64::try_from(raw.size).unwrap_or(u64::MAX);
        if size > self.limits.header {
            return Err(Cause::TooMuch {
                what: "bytes of an extended header",
                limit: self.limits.header,
            });
        }
        self.begin(size);
        let mut content = Vec::new();
        self.stored(size, &mut |bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(content)
    }

    fn member(
        &mut self,
        raw: Raw,
        block: &[u8; BLOCK],
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<TarMember, Cause> {
        let name = long_name.or(pax.path).unwrap_or(raw.name);
        let link = long_link.or(pax.link).unwrap_or(raw.link);
        let kind = kind_of(raw.flag, &name).ok_or_else(|| {
            let flag = char::from(raw.flag).escape_default();
            Cause::archive(format!("engines do not unpack its type `{flag}`")).at(&name)
        })?;
        let stored = pax.size.unwrap_or(raw.size);
        let stored = u64::try_from(stored).map_err(|_| wrong("a size", &name))?;
        self.begin(if kind == Type::File { stored } else { 0 });
        let small = |value: i64, what| u32::try_from(value).map_err(|_| wrong(what, &name));
        let mut member = TarMember {
            kind,
            link: if matches!(kind, Type::HardLink | Type::Symlink) {
                link
            } else {
                Vec::new()
            },
            mode: u16::try_from(raw.mode & 0o7777).unwrap_or_default(),
            uid: small(pax.uid.unwrap_or(raw.uid), "an owner")?,
            gid: small(pax.gid.unwrap_or(raw.gid), "a group")?,
            size: self.left,
            mtime: pax.mtime.unwrap_or(raw.mtime),
            device: (
                small(raw.device.0, "a device number")?,
                small(raw.device.1, "a device number")?,
            ),
            segments: None,
            name,
        };
        if raw.flag == b'S' {
            self.old_sparse(&mut member, raw.layout, block)?;
        } else {
            self.pax_sparse(&mut member, pax.sparse)?;
        }
        Ok(member)
    }

    fn pax_sparse(&mut self, member: &mut TarMember, sparse: pax::Sparse) -> Result<(), Cause> {
        let map = sparse::of_pax(&sparse).map_err(|cause| cause.at(&member.name))?;
        if map != Map::None && member.kind != Type::File {
            return Err(sparse::wrong("is not a file").at(&member.name));
        }
        let segments = match map {
            Map::None => return Ok(()),
            Map::Here(segments) => segments,
            Map::InData => self.map_in_data()?,
        };
        if let Some(name) = sparse.name {
            member.name = name;
        }
        if let Some(size) = sparse.size.or(sparse.real_size) {
            member.size = u64::try_from(size).map_err(|_| wrong("a size", &member.name))?;
        }
        self.laid_out(member, segments)
    }

    fn laid_out(&mut self, member: &mut TarMember, segments: Vec<Segment>) -> Result<(), Cause> {
        if segments.len() > self.limits.segments {
            return Err(self.too_many_segments());
        }
        sparse::check(&segments, member.size, self.left).map_err(|cause| cause.at(&member.name))?;
        member.segments = Some(segments);
        Ok(())
    }

    fn too_many_segments(&self) -> Cause {
        Cause::TooMuch {
            what: "segments of a sparse file",
            limit: self.limits.segments as u64,
        }
    }

    fn old_sparse(
        &mut self,
        member: &mut TarMember,
        layout: HeaderLayout,
        block: &[u8; BLOCK],
    ) -> Result<(), Cause> {
        if layout != HeaderLayout::Gnu {
            return Err(sparse::wrong("has no GNU header").at(&member.name));
        }
        let gnu = header::gnu(Header::from_byte_slice(block));
        member.size = u64::try_from(header::number(&gnu.realsize)?)
            .map_err(|_| wrong("a size", &member.name))?;
        let mut segments = Vec::new();
        let mut goes_on = gnu.isextended[0] > 0;
        let mut take = |fields: &[tar::GnuSparseHeader]| {
            for field in fields.iter().take_while(|field| field.offset[0] != 0) {
                let offset = header::number(&field.offset)?;
                segments.push(sparse::segment(offset, header::number(&field.numbytes)?)?);
            }
            Ok::<_, Cause>(segments.len())
        };
        take(&gnu.sparse)?;
        while goes_on {
            let block = self.block()?.ok_or(Cause::Truncated)?;
            let mut more = GnuExtSparseHeader::new();
            more.as_mut_bytes().copy_from_slice(&block);
            if take(&more.sparse)? > self.limits.segments {
                return Err(self.too_many_segments());
            }
            goes_on = more.isextended[0] > 0;
        }
        self.laid_out(member, segments)
    }

    /// The map at the start of the data: decimal lines, padded to the end of a block.
    fn map_in_data(&mut self) -> Result<Vec<Segment>, Cause> {
        let malformed = || sparse::wrong("has a map that is malformed");
        let mut block = Vec::new();
        let mut numbers = Vec::new();
        let mut count = None;
        while count.is_none_or(|count| numbers.len() < count) {
            let mut line = Vec::new();
            loop {
                if block.is_empty() {
                    if self.left < BLOCK as u64 {
                        return Err(malformed());
                    }
                    self.stored(BLOCK as u64, &mut |bytes| {
                        block.extend_from_slice(bytes);
                        Ok(())
                    })?;
                    block.reverse();
                }
                match block.pop() {
                    Some(b'\n') => break,
                    Some(byte) if line.len() < 20 => line.push(byte),
                    _ => return Err(malformed()),
                }
            }
            let number = pax::digits(&line).ok_or_else(malformed)?;
            if count.is_some() {
                numbers.push(number);
                continue;
            }
            let segments = usize::try_from(number).map_err(|_| malformed())?;
            if segments > self.limits.segments {
                return Err(self.too_many_segments());
            }
            count = Some(2 * segments);
        }
        let pairs = numbers.chunks_exact(2);
        pairs
            .map(|pair| sparse::segment(pair[0], pair[1]))
            .collect()
    }
}

fn kind_of(flag: u8, name: &[u8]) -> Option<Type> {
    Some(match flag {
        0 if name.ends_with(b"/") => Type::Folder,
        0 | b'0' | b'7' | b'S' => Type::File,
        b'1' => Type::HardLink,
        b'2' => Type::Symlink,
        b'3' => Type::CharDevice,
        b'4' => Type::BlockDevice,
        b'5' => Type::Folder,
        b'6' => Type::Fifo,
        _ => return None,
    })
}

fn wrong(what: &str, name: &[u8]) -> Cause {
    Cause::archive(format!("it has {what} that is out of range")).at(name)
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

fn zeros(mut length: u64, sink: &mut dyn FnMut(&[u8]) -> Result<(), Cause>) -> Result<(), Cause> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while length > 0 {
        let part = length.min(ZEROS.len() as u64);
        sink(&ZEROS[..usize::try_from(part).unwrap_or(ZEROS.len())])?;
        length -= part;
    }
    Ok(())
}

fn of_io(error: &Error) -> Cause {
    match error.kind() {
        ErrorKind::UnexpectedEof => Cause::Truncated,
        _ => Cause::Source {
            why: error.to_string(),
        },
    }
}

/// The stored bytes of one entry.
pub struct MemberBody<'a, R>(&'a mut Members<R>);

impl<R: BufRead> Read for MemberBody<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.0.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let length = self.0.source.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.0.left -= length as u64;
        Ok(length)
    }
}

impl<R: BufRead> BufRead for MemberBody<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.0.left == 0 {
            return Ok(&[]);
        }
        let bytes = self.0.source.fill_buf()?;
        if bytes.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let most = bytes
            .len()
            .min(usize::try_from(self.0.left).unwrap_or(usize::MAX));
        Ok(&bytes[..most])
    }

    fn consume(&mut self, length: usize) {
        self.0.source.consume(length);
        self.0.left -= length as u64;
    }
}
