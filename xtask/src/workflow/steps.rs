//! The jobs and their steps. What comes from outside, such as a name from the graph, reaches a shell
//! as a variable of the environment only.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::actions::{CACHE, CHECKOUT, COSIGN};
use super::logins::Login;
use super::scalar;
use crate::graphfile::spec::publishing::Cosign;

/// What the steps of all jobs have in common.
pub(super) struct Steps<'s> {
    /// The graph file, from the root of the repository.
    pub(super) graph: &'s str,
    /// The profiles with which CI builds.
    pub(super) profiles: &'s [String],
    /// Whether the graph has sources that must be fetched.
    pub(super) has_sources: bool,
    /// Whether the repository has submodules.
    pub(super) has_submodules: bool,
    /// Whether a part is for a platform without a runner.
    pub(super) has_emulation: bool,
    /// Whether a host command needs programs that a runner may lack.
    pub(super) has_needs: bool,
    /// Whether records must be signed to be believed.
    pub(super) is_signed: bool,
    /// The environment variables with secrets of builds.
    pub(super) secrets: BTreeSet<&'s str>,
}

impl Steps<'_> {
    /// The job that asks for the verdicts. It runs nothing of the graph.
    pub(super) fn plan_job(&self, runner: &str, logins: &[Login]) -> String {
        let identity = identity(logins.iter());
        let logins: String = logins.iter().map(Login::steps_of_push).collect();
        format!(
            "  plan:
    name: plan
    runs-on: {runner}
    timeout-minutes: 20
    permissions:
      contents: read
      packages: read
{identity}    outputs:
      any: ${{{{ steps.plan.outputs.any }}}}
      matrix: ${{{{ steps.plan.outputs.matrix }}}}
    steps:
{checkout}{tool}{logins}{sync}      - name: Plan
        id: plan
        env:
          GRAPH: {graph}
        run: xtask plan --graph \"$GRAPH\"{profiles} --matrix >> \"$GITHUB_OUTPUT\"
",
            runner = scalar(runner),
            checkout = self.checkout(),
            tool = cached_tool(),
            sync = self.sync(),
            graph = scalar(self.graph),
            profiles = self.flags(),
        )
    }

    /// The job of a pull request for what it changes. It gets no secret, and pushes nothing.
    pub(super) fn pull_request_job(&self, logins: &[Login]) -> String {
        let logins: String = logins.iter().map(Login::steps_without_secrets).collect();
        let head = self.matrix_job("try", "pull_request", "read", &logins);
        format!(
            "{head}{stages}        run: |
          read -ra stages <<< \"$STAGES\"
          xtask build --graph \"$GRAPH\"{profiles} --output oci --keep-going -- \"${{stages[@]}}\"
      - name: Verify
        env:
{stages}        run: |
          read -ra stages <<< \"$STAGES\"
          xtask verify --graph \"$GRAPH\"{profiles} --output oci --policy-only -- \"${{stages[@]}}\"
",
            stages = self.stages(),
            profiles = self.flags(),
        )
    }

    /// The job of a push for what is not fresh: it pushes images by digest, and shares records.
    pub(super) fn build_job(&self, logins: &[Login]) -> String {
        let identity = identity(logins.iter());
        let logins: String = logins.iter().map(Login::steps).collect();
        let mut secrets = String::new();
        for name in ["XTASK_SIGNING_KEY"].iter().chain(&self.secrets) {
            let _ = writeln!(secrets, "          {name}: ${{{{ secrets.{name} }}}}");
        }
        // Without a key nothing would be shared, and the last job would find nothing.
        let signed = if self.is_signed {
            "          : \"${XTASK_SIGNING_KEY:?set the secret XTASK_SIGNING_KEY of this repository}\"\n"
        } else {
            ""
        };
        let rights = format!("write\n{identity}");
        let head = self.matrix_job("build", "push", rights.trim_end(), &logins);
        format!(
            "{head}{stages}{secrets}        run: |
{signed}          read -ra stages <<< \"$STAGES\"
          xtask build --graph \"$GRAPH\"{profiles} --keep-going -- \"${{stages[@]}}\"
",
            stages = self.stages(),
            profiles = self.flags(),
        )
    }

    /// The beginning of a job for the rows of the matrix, up to the environment of its step that
    /// builds. `packages` is the right to packages, and perhaps further rights in lines of their own.
    fn matrix_job(&self, verb: &str, event: &str, packages: &str, logins: &str) -> String {
        format!(
            "
  {verb}:
    name: {verb} ${{{{ matrix.name }}}}
    needs: plan
    if: github.event_name == '{event}' && needs.plan.outputs.any == 'true'
    strategy:
      fail-fast: false
      matrix: ${{{{ fromJSON(needs.plan.outputs.matrix) }}}}
    runs-on: ${{{{ matrix.runner }}}}
    timeout-minutes: 180
    permissions:
      contents: read
      packages: {packages}
    steps:
{checkout}{tool}{logins}{sync}{setup}      - name: Build
        env:
",
            checkout = self.checkout(),
            tool = cached_tool(),
            sync = self.sync(),
            setup = self.setup(),
        )
    }

    /// The variables that name the graph and the stages of a row.
    fn stages(&self) -> String {
        format!(
            "          GRAPH: {}
          STAGES: ${{{{ matrix.stages }}}}
",
            scalar(self.graph)
        )
    }

    /// The job that assembles the images of all platforms, verifies the set, and publishes it, if
    /// any stage names an image: `published` has the logins of the targets then, and says how cosign
    /// signs. No cache is restored: it was written by other runs.
    pub(super) fn release_job(
        &self,
        runner: &str,
        shared: &[Login],
        published: Option<(&[Login], Option<&Cosign>)>,
    ) -> String {
        let (targets, cosign) = published.unwrap_or((&[], None));
        let identity = match cosign {
            Some(Cosign::Keyless) => IDENTITY.to_owned(),
            Some(Cosign::Key(_)) | None => identity(shared.iter().chain(targets)),
        };
        let shared: String = shared.iter().map(Login::steps).collect();
        format!(
            "
  release:
    name: verify and publish
    needs: [plan, build]
    if: >-
      !cancelled() && github.event_name == 'push' && needs.plan.result == 'success'
      && (needs.build.result == 'success' || needs.build.result == 'skipped')
    runs-on: {runner}
    timeout-minutes: 180
    # One release at a time: in the order in which their builds end, and none is dropped.
    concurrency:
      group: build-images-release
      queue: max
      cancel-in-progress: false
    permissions:
      contents: read
      packages: write
{identity}    steps:
{checkout}      - name: Compile the tool
{COMPILE}{PATH}{shared}{sync}      - name: Look whether everything is built
        env:
          GRAPH: {graph}
        run: |
          if ! xtask plan --graph \"$GRAPH\"{profiles} --matrix | grep --quiet '^any=false$'; then
            echo '::error::what the jobs before have built is not found: is the public half of XTASK_SIGNING_KEY trusted?'
            exit 1
          fi
      - name: Put the platforms together
        env:
          GRAPH: {graph}
        run: xtask build --graph \"$GRAPH\"{profiles}
      - name: Verify
        env:
          GRAPH: {graph}
        run: xtask verify --graph \"$GRAPH\"{profiles}
{publish}",
            runner = scalar(runner),
            checkout = self.checkout(),
            sync = self.sync(),
            graph = scalar(self.graph),
            profiles = self.flags(),
            publish = published.map_or_else(String::new, |_| self.publish(targets, cosign)),
        )
    }

    fn publish(&self, targets: &[Login], cosign: Option<&Cosign>) -> String {
        let targets: String = targets.iter().map(Login::steps).collect();
        let install = cosign.map_or_else(String::new, |_| {
            format!("      - name: Install cosign\n        uses: {COSIGN}\n")
        });
        let key = match cosign {
            Some(Cosign::Key(_)) => {
                "          COSIGN_PASSWORD: ${{ secrets.COSIGN_PASSWORD }}\n          COSIGN_PRIVATE_KEY: ${{ secrets.COSIGN_PRIVATE_KEY }}\n"
            }
            Some(Cosign::Keyless) | None => "",
        };
        format!(
            "{targets}{install}      - name: Publish
        env:
          GRAPH: {graph}
{key}        run: xtask publish --graph \"$GRAPH\"{profiles}
",
            graph = scalar(self.graph),
            profiles = self.flags(),
        )
    }

    fn checkout(&self) -> String {
        let submodules = if self.has_submodules {
            "          submodules: recursive\n"
        } else {
            ""
        };
        format!(
            "      - name: Check out
        uses: {CHECKOUT}
        with:
          persist-credentials: false
{submodules}"
        )
    }

    /// The profiles as flags. Their names hold nothing that a shell would read.
    fn flags(&self) -> String {
        let mut flags = String::new();
        for name in self.profiles {
            let _ = write!(flags, " --profile {name}");
        }
        flags
    }

    fn sync(&self) -> String {
        if !self.has_sources {
            return String::new();
        }
        format!(
            "      - name: Fetch the sources
        env:
          GRAPH: {}
        run: xtask sync --graph \"$GRAPH\"{} --locked
",
            scalar(self.graph),
            self.flags()
        )
    }

    /// Brings what a runner lacks: an emulator, or programs of host commands.
    fn setup(&self) -> String {
        let when = match (self.has_needs, self.has_emulation) {
            (true, _) => "",
            (false, true) => "        if: matrix.emulated\n",
            (false, false) => return String::new(),
        };
        format!(
            "      - name: Set up what the runner lacks
{when}        env:
          GRAPH: {}
        run: xtask setup --graph \"$GRAPH\"{} --yes
",
            scalar(self.graph),
            self.flags()
        )
    }
}

/// The permission to ask for GitHub's identity token.
const IDENTITY: &str = "      id-token: write\n";

fn identity<'l>(mut logins: impl Iterator<Item = &'l Login>) -> String {
    let is_wanted = logins.any(Login::wants_identity);
    if is_wanted {
        IDENTITY.to_owned()
    } else {
        String::new()
    }
}

/// Compiles the tool. Not in the checkout: a context may be the whole repository, and what is
/// compiled there would be another input on each machine.
const COMPILE: &str = "        env:
          CARGO_TARGET_DIR: ${{ runner.temp }}/xtask
        run: cargo build --locked --package xtask
";

/// Lets the steps that follow find the tool.
const PATH: &str = "      - name: Find the tool
        run: echo \"$RUNNER_TEMP/xtask/debug\" >> \"$GITHUB_PATH\"
";

/// Compiles the tool, unless a job on such a machine has compiled the same before.
fn cached_tool() -> String {
    format!(
        "      - name: Restore the tool
        id: tool
        uses: {CACHE}
        with:
          path: ${{{{ runner.temp }}}}/xtask/debug/xtask
          key: xtask-${{{{ runner.os }}}}-${{{{ runner.arch }}}}-${{{{ hashFiles('Cargo.toml', 'Cargo.lock', '.cargo/**', 'xtask/**') }}}}
      - name: Compile the tool
        if: steps.tool.outputs.cache-hit != 'true'
{COMPILE}{PATH}"
    )
}
