//! A sealed file of many named parts, each found without reading the others. It holds a head, then
//! the name and bytes of every part, each after its length.

use std::collections::HashMap;
use std::ops::Range;

use camino::Utf8Path;

use super::Broken;

/// A bundle in memory. The default is empty.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The sealed bytes, as they stand in the file.
    bytes: Vec<u8>,
    head: Range<usize>,
    names: HashMap<String, usize>,
    places: Vec<Range<usize>>,
}

impl Bundle {
    /// Reads sealed bytes. If two parts have one name, the later one is found.
    pub fn of_bytes(kind: &str, version: u32, sealed: Vec<u8>) -> Result<Self, Broken> {
        let mut rest = super::unseal(kind, version, &sealed)?;
        let place = |part: &[u8], rest: &[u8]| {
            let end = sealed.len() - rest.len();
            end - part.len()..end
        };
        let head = take(&mut rest).ok_or(Broken::Foreign)?;
        let head = place(head, rest);
        let mut names = HashMap::new();
        let mut places = Vec::new();
        while !rest.is_empty() {
            let name = take(&mut rest).and_then(|name| std::str::from_utf8(name).ok());
            let name = name.ok_or(Broken::Foreign)?;
            let part = take(&mut rest).ok_or(Broken::Foreign)?;
            names.insert(name.to_owned(), places.len());
            places.push(place(part, rest));
        }
        Ok(Self {
            head,
            names,
            places,
            bytes: sealed,
        })
    }

    /// The bytes before all parts.
    pub fn head(&self) -> &[u8] {
        self.bytes.get(self.head.clone()).unwrap_or_default()
    }

    /// The number of parts.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no part.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place of the part with this name, below `len`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The part at a place; empty if there is none.
    pub fn part(&self, at: usize) -> &[u8] {
        let place = self.places.get(at).cloned();
        place
            .and_then(|place| self.bytes.get(place))
            .unwrap_or_default()
    }

    /// All parts with their names, in no order.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let names = self.names.iter();
        names.map(|(name, at)| (name.as_str(), self.part(*at)))
    }
}

/// Writes a bundle atomically.
pub fn write(
    file: &Utf8Path,
    kind: &str,
    version: u32,
    head: &[u8],
    parts: &[(&str, &[u8])],
) -> std::io::Result<()> {
    let parts = parts.iter();
    let parts = parts.flat_map(|(name, part)| [name.as_bytes(), part]);
    let whole: Vec<&[u8]> = std::iter::once(head).chain(parts).collect();
    let lengths: Option<Vec<_>> = whole.iter().map(|bytes| length(bytes)).collect();
    let too_long = || std::io::Error::other("a part is longer than a bundle can hold");
    let lengths = lengths.ok_or_else(too_long)?;
    let laid: Vec<&[u8]> = std::iter::zip(&lengths, whole)
        .flat_map(|(length, bytes)| [&length[..], bytes])
        .collect();
    super::write_sealed(file, kind, version, &laid)
}

/// Appends a length and the bytes; `None` if the length does not fit.
pub fn put(into: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    into.extend_from_slice(&length(bytes)?);
    into.extend_from_slice(bytes);
    Some(())
}

/// Takes the first bytes that were `put`; `None` if there are none.
pub fn take<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
    bytes.split_off(..usize::try_from(length).ok()?)
}

/// Takes everything that was `put`, in order; `None` if something else is found.
pub fn take_all(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        all.push(take(&mut bytes)?);
    }
    Some(all)
}

fn length(bytes: &[u8]) -> Option<[u8; 4]> {
    Some(u32::try_from(bytes.len()).ok()?.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(folder.path()).unwrap().join("b");
        write(&file, "kind", 3, b"head", &[("a", b"1\n"), ("", b"")]).unwrap();
        let sealed = std::fs::read(&file).unwrap();
        let bundle = Bundle::of_bytes("kind", 3, sealed.clone()).unwrap();
        assert_eq!(bundle.head(), b"head");
        assert_eq!((bundle.len(), bundle.is_empty()), (2, false));
        let part = |name| bundle.find(name).map(|at| bundle.part(at));
        assert_eq!(part("a"), Some(&b"1\n"[..]));
        assert_eq!(part(""), Some(&b""[..]));
        assert_eq!(part("b"), None);
        let mut parts: Vec<_> = bundle.parts().collect();
        parts.sort_unstable();
        assert_eq!(parts, [("", &b""[..]), ("a", b"1\n")]);
        assert_eq!(
            Bundle::of_bytes("kind", 4, sealed).unwrap_err(),
            Broken::OtherVersion
        );
    }

    #[test]
    fn content_that_is_no_bundle_is_foreign() {
        let whole = [&[1, 0, 0, 0, b'h'][..], &[1, 0, 0, 0, b'a'], &[0; 4]].concat();
        for end in 0..whole.len() {
            let sealed = super::super::seal("kind", 1, &whole[..end]);
            // After the head alone it is an empty bundle.
            let read = Bundle::of_bytes("kind", 1, sealed).map(|bundle| bundle.len());
            let expected = if end == 5 {
                Ok(0)
            } else {
                Err(Broken::Foreign)
            };
            assert_eq!(read, expected, "{end}");
        }
    }
}
