//! Changes an index as text, so that what is not changed stays as it was, byte for byte.

use std::ops::Range;

use serde::de::{Deserialize, IgnoredAny};

/// Where the parts of an index are in its text.
pub(crate) struct Spans {
    /// The list `manifests`.
    list: Range<usize>,
    /// Its elements.
    elements: Vec<Range<usize>>,
    /// The value of `annotations`.
    annotations: Option<Range<usize>>,
    /// The closing brace.
    end: usize,
}

/// Finds the parts of an index that was read before. `None` if the text has another shape.
pub(crate) fn spans(text: &[u8]) -> Option<Spans> {
    let mut at = after(text, space(text, 0), b'{')?;
    let (mut list, mut elements, mut annotations) = (None, Vec::new(), None);
    loop {
        at = space(text, at);
        if text.get(at) == Some(&b'}') {
            break;
        }
        let (name, end) = value::<String>(text, at)?;
        let start = space(text, after(text, space(text, end), b':')?);
        let end = match name.as_str() {
            "manifests" => {
                let end;
                (elements, end) = list_of(text, start)?;
                list = Some(start..end);
                end
            }
            _ => value::<IgnoredAny>(text, start)?.1,
        };
        if name == "annotations" {
            annotations = Some(start..end);
        }
        at = space(text, end);
        match text.get(at)? {
            b',' => at += 1,
            b'}' => break,
            _ => return None,
        }
    }
    Some(Spans {
        list: list?,
        elements,
        annotations,
        end: at,
    })
}

/// The elements of the list that begins at `at`, and where it ends.
fn list_of(text: &[u8], at: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let mut elements = Vec::new();
    let mut at = space(text, after(text, at, b'[')?);
    if text.get(at) == Some(&b']') {
        return Some((elements, at + 1));
    }
    loop {
        let end = value::<IgnoredAny>(text, at)?.1;
        elements.push(at..end);
        at = space(text, end);
        match text.get(at)? {
            b',' => at = space(text, at + 1),
            b']' => return Some((elements, at + 1)),
            _ => return None,
        }
    }
}

/// The value that begins at `at`, and where it ends.
fn value<'de, T: Deserialize<'de>>(text: &'de [u8], at: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(text.get(at..)?).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, at + values.byte_offset()))
}

/// Where the white space that begins at `at` ends.
fn space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + rest.iter().take_while(is_space).count()
}

fn after(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    (text.get(at) == Some(&byte)).then_some(at + 1)
}

/// Writes an index anew: without the elements `dropped`, with the elements `added` at the end, and
/// with other `annotations` if there are some. New text is laid out like the old one.
pub(crate) fn rewrite(
    text: &[u8],
    spans: &Spans,
    dropped: &[usize],
    added: &[&str],
    annotations: Option<&str>,
) -> Vec<u8> {
    let is_laid_out = text.contains(&b'\n');
    let kept = spans.elements.iter().enumerate();
    let kept = kept.filter(|(at, _)| !dropped.contains(at));
    let kept = kept.filter_map(|(_, span)| text.get(span.clone()).map(<[u8]>::to_vec));
    let added = added.iter().map(|entry| laid_out(entry, is_laid_out, 4));
    let entries: Vec<Vec<u8>> = kept.chain(added).collect();
    let (first, between, last): (&[u8], &[u8], &[u8]) = if is_laid_out && !entries.is_empty() {
        (b"[\n    ", b",\n    ", b"\n  ]")
    } else {
        (b"[", b",", b"]")
    };
    let list = [first, &entries.join(between), last].concat();
    let mut edits = vec![(spans.list.clone(), list)];
    if let Some(annotations) = annotations {
        let value = laid_out(annotations, is_laid_out, 2);
        if let Some(span) = &spans.annotations {
            edits.push((span.clone(), value));
        } else {
            // It comes last (OCI image-spec 1.1, `specs-go/v1/index.go`).
            let name: &[u8] = if is_laid_out {
                b",\n  \"annotations\": "
            } else {
                b",\"annotations\":"
            };
            let before = text.get(..spans.end).unwrap_or_default();
            let end = before.trim_ascii_end().len();
            edits.push((end..end, [name, &value].concat()));
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut whole = Vec::with_capacity(text.len());
    let mut at = 0;
    for (span, new) in edits {
        whole.extend_from_slice(text.get(at..span.start).unwrap_or_default());
        whole.extend_from_slice(&new);
        at = span.end;
    }
    whole.extend_from_slice(text.get(at..).unwrap_or_default());
    whole
}

/// JSON that was laid out by `serde_json`, moved to the right or put into one line. Line breaks
/// inside texts are escaped in JSON, so every line break is layout.
fn laid_out(json: &str, is_laid_out: bool, indent: usize) -> Vec<u8> {
    if is_laid_out {
        let margin = format!("\n{}", " ".repeat(indent));
        return json.replace('\n', &margin).into_bytes();
    }
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) => value.to_string().into_bytes(),
        Err(_) => json.as_bytes().to_vec(),
    }
}
