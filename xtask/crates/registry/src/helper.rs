//! Asks Docker's credential helpers, by their protocol
//! (github.com/docker/docker-credential-helpers).
//!
//! The server goes to the helper's stdin, never into its argv. The helper's output is never shown.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::Deserialize;

use super::keyring::Login;

/// How long a helper may take. Some helpers ask the user.
const HELPER: Duration = Duration::from_secs(60);
/// Longer than any login, in bytes.
const LIMIT: u64 = 1 << 20;
/// The output of a helper.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a credential helper. `None` if it has no login for the server. The error is a clause that
/// begins with the helper's name.
pub fn ask(helper: &str, server: &str) -> Result<Option<Login>, String> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if helper.is_empty() || !helper.chars().all(name_char) {
        let helper = crate::text::short(helper);
        return Err(format!(
            "the credential helper `{helper}`, which is not a program's name"
        ));
    }
    let program = format!("docker-credential-{helper}");
    run(&program, &mut Command::new(&program), server, HELPER)
}

fn run(
    program: &str,
    command: &mut Command,
    server: &str,
    patience: Duration,
) -> Result<Option<Login>, String> {
    let child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| format!("{program}, which cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading has already answered.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (sender, receiver) = channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|stdout| stdout.take(LIMIT).read_to_end(&mut bytes));
        // The receiver is gone if the helper took too long.
        let _ = sender.send(read.is_some_and(|read| read.is_ok()).then_some(bytes));
    });
    let said = match receiver.recv_timeout(patience) {
        Ok(said) => said.unwrap_or_default(),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{program}, which does not answer"));
        }
    };
    let good = child.wait().is_ok_and(|status| status.success());
    if !good {
        // The helper protocol's words (github.com/docker/docker-credential-helpers,
        // credentials/error.go).
        let none = String::from_utf8_lossy(&said).contains("credentials not found");
        return if none {
            Ok(None)
        } else {
            Err(format!("{program}, which failed"))
        };
    }
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|_| format!("{program}, whose answer cannot be read"))?;
    Ok(match answer.username.as_str() {
        _ if answer.secret.is_empty() => None,
        "<token>" => Some(Login::Identity(answer.secret)),
        _ => Some(Login::Password {
            user: answer.username,
            secret: answer.secret,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, secret: &str) -> Option<Login> {
        Some(Login::Password {
            user: user.to_owned(),
            secret: secret.to_owned(),
        })
    }

    fn answer(script: &str, patience: Duration) -> Result<Option<Login>, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "helper"]);
        run("docker-credential-t", &mut shell, "reg.example", patience)
    }

    fn said(script: &str) -> Result<Option<Login>, String> {
        answer(script, Duration::from_secs(20))
    }

    #[test]
    fn a_helper_is_told_the_server_on_its_stdin_and_nowhere_else() {
        let script = r#"[ "$*" = get ] || exit 9; read -r s; printf '{"ServerURL":"%s","Username":"u","Secret":"for %s"}' "$s" "$s""#;
        assert_eq!(said(script).unwrap(), password("u", "for reg.example"));
        let token = r#"printf '{"Username":"<token>","Secret":"t"}'"#;
        assert_eq!(said(token).unwrap(), Some(Login::Identity("t".into())));
    }

    #[test]
    fn a_helper_without_a_login_is_no_trouble_and_one_that_fails_is() {
        assert_eq!(
            said("echo 'credentials not found in native keychain'; exit 1"),
            Ok(None)
        );
        assert_eq!(said(r#"printf '{"Username":"","Secret":""}'"#), Ok(None));
        for (script, why) in [
            ("echo hunter2; exit 1", "failed"),
            ("echo hunter2", "cannot be read"),
        ] {
            let error = said(script).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let error = answer("exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("does not answer"), "{error}");
        let error = ask("none-such", "reg.example").unwrap_err();
        assert!(error.contains("docker-credential-none-such"), "{error}");
    }

    #[test]
    fn a_helpers_name_is_no_path() {
        for name in ["../x", "a b", "", "a/b", "a;b"] {
            let error = ask(name, "reg.example").unwrap_err();
            assert!(error.contains("is not a program's name"), "{error}");
        }
    }
}
