//! Reads `WWW-Authenticate`: the proof that a registry asks for. The header's grammar (RFC 9110,
//! 11.6.1) is read as far as registries use it.

/// The proof that a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A token from a server of its own
    /// (distribution.github.io/distribution/spec/auth/token).
    Bearer {
        /// The token server.
        realm: String,
        /// The name of this registry there.
        service: Option<String>,
        /// The access that the token must allow.
        scope: Option<String>,
    },
    /// A user name and a password.
    Basic,
}

/// The first challenge that can be met. `Bearer` goes before `Basic`.
pub fn read<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        for (scheme, parameters) in challenges(header) {
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
            if !scheme.eq_ignore_ascii_case("bearer") {
                continue;
            }
            let parameter = |wanted: &str| {
                let found = parameters
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found
                    .map(|(_, value)| value.clone())
                    .filter(|value| !value.is_empty())
            };
            if let Some(realm) = parameter("realm") {
                return Some(Challenge::Bearer {
                    realm,
                    service: parameter("service"),
                    scope: parameter("scope"),
                });
            }
        }
    }
    basic
}

type Parameters = Vec<(String, String)>;

/// The challenges of a header, with their parameters. Commas separate both challenges and
/// parameters: a word without `=` behind it begins the next challenge.
fn challenges(header: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() && behind.is_empty() {
            return found;
        }
        match behind.trim_start_matches([' ', '\t']).strip_prefix('=') {
            Some(value) => {
                let (value, behind) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = behind;
            }
            None => {
                found.push((word.to_owned(), Vec::new()));
                rest = behind;
            }
        }
    }
}

/// A token or a quoted string, and the rest of the text.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(header: &str) -> Option<Challenge> {
        read(std::iter::once(header))
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn a_token_servers_address_is_read_from_quoted_parameters() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:library/python:pull,push""#;
        let expected = bearer(
            "https://auth.example/token",
            Some("registry.example"),
            Some("repository:library/python:pull,push"),
        );
        assert_eq!(one(header), expected);
        let spaced = r#"bearer  service = registry.example , REALM = "https://auth.example/a\"b""#;
        let expected = bearer("https://auth.example/a\"b", Some("registry.example"), None);
        assert_eq!(one(spaced), expected);
    }

    #[test]
    fn a_token_is_preferred_to_a_password_wherever_it_stands() {
        let header = r#"Basic realm="x", Bearer realm="https://a/t", Negotiate"#;
        assert_eq!(one(header), bearer("https://a/t", None, None));
        let two = ["Basic realm=\"x\"", "Bearer realm=\"https://a/t\""];
        assert_eq!(read(two.into_iter()), bearer("https://a/t", None, None));
        assert_eq!(one("Basic realm=x"), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_met_is_no_challenge() {
        for header in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm=\"\"",
            "=,=",
            "\"",
            "Bearer =x",
        ] {
            assert_eq!(one(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(header in r#"([A-Za-z]{1,6}|[ ,=\\"é\t]){0,40}"#) {
            let _ = one(&header);
        }
    }
}
