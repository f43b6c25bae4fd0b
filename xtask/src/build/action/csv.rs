//! The fields of a flag that buildx reads as CSV (docker/buildx `util/buildflags`: `--secret`,
//! `--output`, `--cache-from`, `--cache-to`, `--attest`), quoted as Go's `encoding/csv` reads them.
//! Names in `--build-context`, `--ssh` and `--build-arg` end at the first `=`, and the rest of
//! those is taken literally.

/// One row of `name=value` fields, such as `id=token,src=/a/token`.
pub fn row<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let fields = fields.into_iter();
    let fields: Vec<String> = fields
        .map(|(name, value)| field(&format!("{name}={value}")))
        .collect();
    fields.join(",")
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_field_with_a_comma_or_a_quote_is_quoted_as_a_whole() {
        for (value, wanted) in [
            ("/a/token", "id=i,src=/a/token"),
            ("/co,mma/token", "id=i,\"src=/co,mma/token\""),
            ("/say \"x\"", "id=i,\"src=/say \"\"x\"\"\""),
            ("a=b", "id=i,src=a=b"),
        ] {
            assert_eq!(row([("id", "i"), ("src", value)]), wanted);
        }
    }
}
