//! Reads texts in an answer: addresses, waits, error messages.

use std::time::Duration;

use ureq::http::Uri;

/// The beginning of a text from outside, escaped, for a message about it.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// The authority of an address.
pub fn host_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    // The text before an `@` is not part of the host.
    let authority = uri.authority()?.as_str();
    Some(
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
            .to_owned(),
    )
}

/// The address that a `Location` header means.
pub fn resolve(url: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        return host_of(location).map(|_| location.to_owned());
    }
    let path = location
        .strip_prefix('/')
        .filter(|path| !path.starts_with('/'))?;
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    Some(format!("{scheme}://{authority}/{path}"))
}

/// Reads `Retry-After`: seconds or a moment.
pub fn wait_of(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = u64::try_from(calendar::http(text)?).ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Some(Duration::from_secs(until).saturating_sub(now.ok()?))
}

/// What a registry says of a request that it did not fulfil.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The code of the first error (distribution spec, "Error Codes"), or nothing.
    pub code: String,
    /// The message of the first error and what it is about, or the text that came instead.
    pub message: String,
}

impl Said {
    /// Reads the distribution spec's list of errors. Proxies and stores send text instead.
    pub fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
            let text = String::from_utf8_lossy(body);
            let line = text.trim().lines().next().unwrap_or_default();
            let is_text = !line.starts_with(['<', '{', '[']);
            return Self {
                code: String::new(),
                message: if is_text { short(line) } else { String::new() },
            };
        };
        let text = |at: &str| value.pointer(at).and_then(|value| value.as_str());
        let code = short(text("/errors/0/code").unwrap_or_default());
        let message = text("/errors/0/message").filter(|text| !text.is_empty());
        let message = message.map_or_else(|| code.clone(), short);
        // The distribution project's registry tells a fault of its disk as a number only.
        let is_full = value.pointer("/errors/0/detail/Enclosed/Err") == Some(&ENOSPC.into())
            || value.pointer("/errors/0/detail/Err") == Some(&ENOSPC.into());
        let detail = [
            "/errors/0/detail",
            "/errors/0/detail/digest",
            "/errors/0/detail/name",
            "/errors/0/detail/message",
        ];
        let detail = if is_full {
            Some(FULL.to_owned())
        } else {
            detail.iter().find_map(|at| text(at)).map(short)
        };
        Self {
            message: match detail.filter(|detail| !detail.is_empty() && !message.contains(detail)) {
                Some(detail) => format!("{message}: {detail}"),
                None => message,
            },
            code,
        }
    }

    /// Whether a disk is full.
    pub fn is_full(&self) -> bool {
        self.message.to_lowercase().contains(FULL)
    }

    /// The message with a comma in front, or nothing.
    pub fn clause(&self) -> String {
        if self.message.is_empty() {
            String::new()
        } else {
            format!(", {}", self.message)
        }
    }
}

/// Linux's number for a full disk.
const ENOSPC: i64 = 28;
const FULL: &str = "no space left";

/// The first error of the distribution spec's list, with a comma in front.
pub fn says(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |value: &serde_json::Value, at: &str| {
        let text = value.pointer(at)?.as_str()?;
        (!text.is_empty()).then(|| short(text))
    };
    value
        .and_then(|value| {
            text(&value, "/errors/0/message").or_else(|| text(&value, "/errors/0/code"))
        })
        .map_or_else(String::new, |says| format!(", {says}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_an_address_or_a_path_of_the_same_server() {
        let at = "https://a.example:5000/v2/x/blobs/y";
        for (location, place) in [
            ("https://b.example/z?q=1", Some("https://b.example/z?q=1")),
            ("/z", Some("https://a.example:5000/z")),
            ("//b.example/z", None),
            ("z", None),
            ("ftp://b.example/z", None),
            ("https://", None),
        ] {
            assert_eq!(resolve(at, location).as_deref(), place, "{location}");
        }
        assert_eq!(
            host_of("https://user@b.example:1/x").as_deref(),
            Some("b.example:1")
        );
    }

    #[test]
    fn a_wait_is_seconds_or_a_moment() {
        assert_eq!(wait_of(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            wait_of("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        assert!(wait_of("Wed, 21 Oct 2999 07:28:00 GMT") > Some(Duration::from_secs(3600)));
        for text in ["", "-1", "soon", "1.5"] {
            assert_eq!(wait_of(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_registry_says_is_one_clause_that_no_terminal_acts_on() {
        assert_eq!(
            says(br#"{"errors":[{"code":"X","message":"no\u001b[2J"}]}"#),
            ", no\\u{1b}[2J"
        );
        assert_eq!(says(br#"{"errors":[{"code":"TOOMANY"}]}"#), ", TOOMANY");
        assert_eq!(says(b"<html>"), "");
    }

    #[test]
    fn what_a_registry_says_of_a_push_tells_what_it_is_about() {
        for (body, code, message) in [
            (
                r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry","detail":{"digest":"sha256:aa"}}]}"#,
                "MANIFEST_BLOB_UNKNOWN",
                "blob unknown to registry: sha256:aa",
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":"over quota","detail":"over quota"}]}"#,
                "DENIED",
                "over quota",
            ),
            (
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}"#,
                "UNKNOWN",
                "unknown error: no space left",
            ),
            ("No space left on device\nx", "", "No space left on device"),
            ("<html>", "", ""),
            ("", "", ""),
            ("{}", "", ""),
        ] {
            let said = Said::read(body.as_bytes());
            assert_eq!((said.code.as_str(), said.message.as_str()), (code, message));
            assert_eq!(said.is_full(), message.to_lowercase().contains("space"));
        }
    }
}
