//! Reads the fields of `RUN --mount=…` that decide what the mount reads. Variables stay as written.

/// The fields of one mount, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mount {
    /// `bind` when absent.
    pub(super) kind: Option<String>,
    pub(super) from: Option<String>,
    pub(super) source: Option<String>,
    pub(super) target: Option<String>,
    pub(super) id: Option<String>,
}

/// Reads one flag value. An error is the end of a sentence for a message.
pub(super) fn fields(text: &str) -> Result<Mount, String> {
    let mut mount = Mount::default();
    for field in comma_separated(text)? {
        let Some((key, value)) = field.split_once('=') else {
            match field.to_lowercase().as_str() {
                "readonly" | "ro" | "readwrite" | "rw" | "required" => continue,
                _ => return Err(format!("the mount field `{field}` has no value")),
            }
        };
        let value = Some(value.to_owned());
        match key.to_lowercase().as_str() {
            "type" => mount.kind = value,
            "from" => mount.from = value.filter(|from| !from.is_empty()),
            "source" | "src" => mount.source = value,
            "target" | "dst" | "destination" => mount.target = value,
            "id" => mount.id = value,
            "readonly" | "ro" | "readwrite" | "rw" | "required" | "size" | "sharing" | "mode"
            | "uid" | "gid" | "env" => {}
            _ => return Err(format!("the mount field `{key}` is unknown")),
        }
    }
    Ok(mount)
}

/// Splits one line of CSV.
fn comma_separated(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("the quotes in the mount `{text}` do not pair");
    if text.contains(['\n', '\r']) {
        return Err(wrong());
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, more) = match rest.split_once(',') {
                Some((field, more)) => (field, Some(more)),
                None => (rest, None),
            };
            if field.contains('"') {
                return Err(wrong());
            }
            fields.push(field.to_owned());
            match more {
                Some(more) => rest = more,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut chars = quoted.char_indices().peekable();
        let end = loop {
            match chars.next() {
                Some((_, '"')) if chars.next_if(|(_, c)| *c == '"').is_some() => field.push('"'),
                Some((at, '"')) => break at + 1,
                Some((_, c)) => field.push(c),
                None => return Err(wrong()),
            }
        };
        fields.push(field);
        match quoted[end..].strip_prefix(',') {
            Some(more) => rest = more,
            None if quoted.len() == end => return Ok(fields),
            None => return Err(wrong()),
        }
    }
}
