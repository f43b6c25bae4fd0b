//! Gets the proof that the user may read from a registry or write to it, by the token flow of the distribution
//! project (distribution.github.io/distribution/spec/auth/token and …/oauth).
//!
//! A proof is the value of the `Authorization` header. It is kept for the repository that it was
//! given for, and never shown.

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::Method;

use super::body::Body;
use super::challenge::Challenge;
use super::endpoint::Trust;
use super::keyring::{Known, Login};
use super::passes::Access;
use super::transport::{Answer, Ask, Take};

/// Longer than any token, in bytes.
const LIMIT: u64 = 1 << 20;

/// The next thing to do for a proof.
pub enum Next<'a> {
    /// The header's value is known.
    Header(String),
    /// A token server must be asked.
    Token(Box<Ask<'a>>),
}

/// The way from a challenge to a proof. `None` if there is no way, as a password is asked for and
/// no login is known. The error is a clause.
pub fn next<'a>(
    challenge: &Challenge,
    known: &Known,
    repository: &str,
    access: &Access,
    url: &'a mut String,
    trust_of: impl Fn(&str) -> Trust,
) -> Result<Option<Next<'a>>, String> {
    match (challenge, &known.login) {
        (_, Some(Login::Bearer(token))) => Ok(Some(Next::Header(format!("Bearer {token}")))),
        (Challenge::Basic, Some(Login::Password { user, secret })) => {
            Ok(Some(Next::Header(basic(user, secret))))
        }
        (Challenge::Basic, _) => Ok(None),
        (
            Challenge::Bearer {
                realm,
                service,
                scope,
            },
            login,
        ) => {
            may_be_told(realm, trust_of)?;
            let scopes = scopes(scope.as_deref(), repository, access);
            let joined = scopes.join(" ");
            let mut fields = Vec::new();
            fields.extend(service.as_deref().map(|service| ("service", service)));
            let mut ask = Ask {
                method: Method::GET,
                url: "",
                headers: Vec::new(),
                body: Body::None,
                take: Take::Whole(LIMIT),
            };
            if let Some(Login::Identity(token)) = login {
                fields.extend([
                    ("scope", joined.as_str()),
                    ("grant_type", "refresh_token"),
                    ("client_id", "xtask"),
                    ("refresh_token", token),
                ]);
                ask.method = Method::POST;
                ask.body = Body::Bytes(form(&fields).into_bytes().into());
                ask.headers.push((
                    "content-type",
                    "application/x-www-form-urlencoded".to_owned(),
                ));
                url.clone_from(realm);
            } else {
                // In an address, every scope is a field of its own; in a form they share one.
                fields.splice(0..0, scopes.iter().map(|scope| ("scope", scope.as_str())));
                if let Some(Login::Password { user, secret }) = login {
                    ask.headers.push(("authorization", basic(user, secret)));
                }
                let joint = if realm.contains('?') { '&' } else { '?' };
                *url = format!("{realm}{joint}{}", form(&fields));
            }
            ask.url = url;
            Ok(Some(Next::Token(Box::new(ask))))
        }
    }
}

/// The scopes that a token needs: those of the challenge, and what an access that writes needs
/// beside them. Some registries always name the scope for reading, and some leave out the repository
/// that a blob is mounted from.
fn scopes(challenge: Option<&str>, repository: &str, access: &Access) -> Vec<String> {
    let named = challenge.unwrap_or_default().split_ascii_whitespace();
    let mut scopes: Vec<String> = named.map(str::to_owned).collect();
    let needed = match access {
        Access::Pull if !scopes.is_empty() => return scopes,
        Access::Pull => vec![(repository, "pull")],
        Access::Push => vec![(repository, "pull,push")],
        Access::Remove => vec![(repository, "pull,delete")],
        Access::Mount { from } if from == repository => vec![(repository, "pull,push")],
        Access::Mount { from } => vec![(repository, "pull,push"), (from.as_str(), "pull")],
    };
    for (name, actions) in needed {
        let of = |scope: &str| {
            let actions = scope.strip_prefix("repository:")?.strip_prefix(name)?;
            Some(actions.strip_prefix(':')?.to_owned())
        };
        let covers = |scope: &String| {
            of(scope).is_some_and(|given| {
                let given: Vec<&str> = given.split(',').collect();
                given.contains(&"*") || actions.split(',').all(|action| given.contains(&action))
            })
        };
        if !scopes.iter().any(covers) {
            scopes.retain(|scope| of(scope).is_none());
            scopes.push(format!("repository:{name}:{actions}"));
        }
    }
    scopes
}

/// The header's value in a token server's answer. The error is a clause.
pub fn of_answer(answer: &Answer) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    // The error does not quote the answer, which may contain a part of a token.
    let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
    let token = token.and_then(|answer| {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        given(answer.token).or_else(|| given(answer.access_token))
    });
    token
        .map(|token| format!("Bearer {token}"))
        .ok_or_else(|| "its token server sends no token".to_owned())
}

/// Whether a login may go to the token server that the registry names. A server without TLS gets it
/// only if it is on this machine or declared insecure.
fn may_be_told(realm: &str, trust_of: impl Fn(&str) -> Trust) -> Result<(), String> {
    if realm.starts_with("https://") {
        return Ok(());
    }
    let host = realm
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    match host.map(trust_of) {
        Some(Trust::Loopback | Trust::Insecure) => Ok(()),
        _ => Err("it names a token server that does not speak TLS".to_owned()),
    }
}

fn basic(user: &str, secret: &str) -> String {
    let pair = format!("{user}:{secret}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&")
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: Some("reg & co".to_owned()),
            scope: None,
        }
    }

    fn known(login: Option<Login>) -> Known {
        Known {
            login,
            trouble: None,
        }
    }

    fn password() -> Option<Login> {
        Some(Login::Password {
            user: "u".to_owned(),
            secret: "p:q".to_owned(),
        })
    }

    fn trust(host: &str) -> Trust {
        if host.starts_with("127.") {
            Trust::Loopback
        } else {
            Trust::Verified
        }
    }

    #[track_caller]
    fn token(login: Option<Login>, realm: &str) -> (Method, String, Vec<String>, Option<String>) {
        let mut url = String::new();
        let next = next(
            &bearer(realm),
            &known(login),
            "a/b",
            &Access::Pull,
            &mut url,
            trust,
        );
        let Ok(Some(Next::Token(ask))) = next else {
            panic!("no token is asked for");
        };
        let headers = ask.headers.iter().map(|(n, v)| format!("{n}: {v}"));
        (
            ask.method.clone(),
            ask.url.to_owned(),
            headers.collect(),
            match &ask.body {
                Body::Bytes(form) => String::from_utf8(form.to_vec()).ok(),
                _ => None,
            },
        )
    }

    #[test]
    fn a_token_is_asked_for_with_the_scope_and_the_login() {
        let (method, url, headers, form) = token(None, "https://auth.example/token");
        assert_eq!(method, Method::GET);
        assert_eq!(
            url,
            "https://auth.example/token?scope=repository%3Aa%2Fb%3Apull&service=reg%20%26%20co"
        );
        assert!(headers.is_empty() && form.is_none());
        let (_, url, headers, _) = token(password(), "https://auth.example/token?x=1");
        assert!(
            url.starts_with("https://auth.example/token?x=1&scope="),
            "{url}"
        );
        assert_eq!(headers, ["authorization: Basic dTpwOnE="]);
    }

    #[test]
    fn a_token_covers_what_the_access_needs_whatever_the_challenge_names() {
        let mount = Access::Mount {
            from: "b/c".to_owned(),
        };
        for (named, access, scopes_are) in [
            (None, Access::Pull, "repository:a:pull"),
            (Some("x:y:z"), Access::Pull, "x:y:z"),
            (None, Access::Push, "repository:a:pull,push"),
            (
                Some("repository:a:pull,push"),
                Access::Push,
                "repository:a:pull,push",
            ),
            (Some("repository:a:*"), Access::Push, "repository:a:*"),
            // GitHub's registry names the scope for reading even if one writes.
            (
                Some("repository:a:pull x:y:z"),
                Access::Push,
                "x:y:z repository:a:pull,push",
            ),
            (
                Some("repository:a:push,pull"),
                mount.clone(),
                "repository:a:push,pull repository:b/c:pull",
            ),
            (
                Some("repository:a:pull,push repository:b/c:pull"),
                mount,
                "repository:a:pull,push repository:b/c:pull",
            ),
        ] {
            assert_eq!(
                scopes(named, "a", &access).join(" "),
                scopes_are,
                "{named:?} {access:?}"
            );
        }
    }

    #[test]
    fn an_identity_token_is_posted_and_never_in_the_address() {
        let login = Some(Login::Identity("id&1".to_owned()));
        let (method, url, _, form) = token(login, "https://auth.example/token");
        assert_eq!(method, Method::POST);
        assert_eq!(url, "https://auth.example/token");
        assert!(form.unwrap().contains("refresh_token=id%261"));
    }

    #[test]
    fn no_login_goes_to_a_token_server_in_the_clear() {
        let mut url = String::new();
        for realm in ["http://auth.example/token", "ftp://x", "auth.example", ""] {
            let next = next(
                &bearer(realm),
                &known(password()),
                "a",
                &Access::Push,
                &mut url,
                trust,
            );
            assert!(next.is_err(), "{realm}");
        }
        token(password(), "http://127.0.0.1:5000/token");
    }

    #[test]
    fn a_password_is_sent_only_where_one_is_known() {
        let mut url = String::new();
        let basic = next(
            &Challenge::Basic,
            &known(password()),
            "a",
            &Access::Push,
            &mut url,
            trust,
        );
        assert!(matches!(basic, Ok(Some(Next::Header(h))) if h == "Basic dTpwOnE="));
        let mut url = String::new();
        let none = next(
            &Challenge::Basic,
            &known(None),
            "a",
            &Access::Pull,
            &mut url,
            trust,
        );
        assert!(matches!(none, Ok(None)));
    }

    #[test]
    fn a_token_has_two_names_and_what_has_none_is_not_repeated() {
        let answer = |body: &str| Answer {
            status: 200,
            headers: ureq::http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            coming: None,
        };
        for body in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t"}"#,
            r#"{"token":"","access_token":"t"}"#,
        ] {
            assert_eq!(
                of_answer(&answer(body)),
                Ok("Bearer t".to_owned()),
                "{body}"
            );
        }
        let error = of_answer(&answer(r#"{"token":"hunter2"#)).unwrap_err();
        assert!(!error.contains("hunter2"));
    }
}
