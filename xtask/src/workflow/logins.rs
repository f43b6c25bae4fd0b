//! How a job logs in to a registry, by the registry's host. Registries that believe GitHub's
//! identity tokens (OIDC) need no secret that lasts.

use std::fmt::Write as _;

use super::actions::{AWS, GOOGLE};
use super::scalar;

/// A registry, and how to log in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    host: String,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// With the token of the job itself.
    Github,
    /// With an identity token that Amazon's service believes. Its region.
    Amazon(String),
    /// With an identity token that Google's service believes.
    Google,
    /// With a name and a password.
    Password,
}

/// The logins that these images and repositories need, each host once, in their order.
pub(super) fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<Login> {
    let mut all: Vec<Login> = Vec::new();
    for name in names {
        let host = match name.split_once('/') {
            Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => host,
            _ => "docker.io",
        };
        if all.iter().any(|login| login.host == host) {
            continue;
        }
        let region = host
            .strip_suffix(".amazonaws.com")
            .and_then(|rest| rest.split_once(".dkr.ecr."))
            .map(|(_, region)| region.to_owned());
        let way = match region {
            Some(region) => Way::Amazon(region),
            None if host == "ghcr.io" => Way::Github,
            None if host.ends_with("-docker.pkg.dev") => Way::Google,
            None => Way::Password,
        };
        let host = host.to_owned();
        all.push(Login { host, way });
    }
    all
}

impl Login {
    /// Whether a job needs GitHub's identity token for it.
    pub(super) const fn wants_identity(&self) -> bool {
        matches!(self.way, Way::Amazon(_) | Way::Google)
    }

    /// The steps that log in, for a job that gets secrets.
    pub(super) fn steps(&self) -> String {
        let host = scalar(&self.host);
        // The password goes to docker's standard input: arguments are visible to every process.
        let login = "printf '%s' \"$PASSWORD\" | docker login --username \"$USERNAME\" --password-stdin \"$REGISTRY\"";
        let with = |username: &str, password: &str| {
            format!(
                "      - name: Log in to {name}
        env:
          REGISTRY: {host}
          USERNAME: {username}
          PASSWORD: {password}
        run: {login}
",
                name = self.host
            )
        };
        match &self.way {
            Way::Github => with("${{ github.actor }}", "${{ github.token }}"),
            Way::Password => {
                let suffix = self.variable();
                with(
                    &format!("${{{{ vars.REGISTRY_USERNAME_{suffix} }}}}"),
                    &format!("${{{{ secrets.REGISTRY_PASSWORD_{suffix} }}}}"),
                )
            }
            Way::Amazon(region) => {
                let mut text = format!(
                    "      - name: Identify to {}
        uses: {AWS}
        with:
          role-to-assume: ${{{{ vars.AWS_ROLE }}}}
          aws-region: {}
",
                    self.host,
                    scalar(region)
                );
                let _ = write!(
                    text,
                    "      - name: Log in to {}
        env:
          REGISTRY: {host}
          REGION: {}
        run: aws ecr get-login-password --region \"$REGION\" | docker login --username AWS --password-stdin \"$REGISTRY\"
",
                    self.host,
                    scalar(region)
                );
                text
            }
            Way::Google => {
                let id = format!(
                    "google-{}",
                    self.variable().to_lowercase().replace('_', "-")
                );
                let identify = format!(
                    "      - name: Identify to {}
        id: {id}
        uses: {GOOGLE}
        with:
          token_format: access_token
          workload_identity_provider: ${{{{ vars.GOOGLE_IDENTITY_PROVIDER }}}}
          service_account: ${{{{ vars.GOOGLE_SERVICE_ACCOUNT }}}}
          create_credentials_file: false
",
                    self.host
                );
                let token = format!("${{{{ steps.{id}.outputs.access_token }}}}");
                identify + &with("oauth2accesstoken", &token)
            }
        }
    }

    /// The steps that log in, for a job that gets no secret: it can read what its own token may.
    pub(super) fn steps_without_secrets(&self) -> String {
        match self.way {
            Way::Github => self.steps(),
            Way::Amazon(_) | Way::Google | Way::Password => String::new(),
        }
    }

    /// The steps that log in, for a job that gets secrets unless it is of a pull request.
    pub(super) fn steps_of_push(&self) -> String {
        match self.way {
            Way::Github => self.steps(),
            Way::Amazon(_) | Way::Google | Way::Password => {
                let steps = self.steps();
                let mut text = String::new();
                for line in steps.lines() {
                    let _ = writeln!(text, "{line}");
                    if line.starts_with("      - name: ") {
                        text += "        if: github.event_name == 'push'\n";
                    }
                }
                text
            }
        }
    }

    /// The host as a part of a variable's name.
    fn variable(&self) -> String {
        let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        self.host
            .chars()
            .map(good)
            .collect::<String>()
            .to_uppercase()
    }
}
