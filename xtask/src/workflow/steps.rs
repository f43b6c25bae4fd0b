//! The jobs and their steps. What comes from outside, such as a name from the graph, reaches a shell
//! as a variable of the environment only.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::actions::{CACHE, CHECKOUT, COSIGN};
use super::logins::Login;
use super::scalar;

/// What the steps of all jobs have in common.
pub(super) struct Steps<'s> {
    /// The graph file, from the root of the repository.
    pub(super) graph: &'s str,
    /// The profiles with which CI builds.
    pub(super) profiles: &'s [String],
    /// Whether the graph has sources that must be fetched.
    pub(super) has_sources: bool,
    /// Whether a part is for a platform without a runner.
    pub(super) has_emulation: bool,
    /// The environment variables with secrets of builds.
    pub(super) secrets: BTreeSet<&'s str>,
}

impl Steps<'_> {
    /// The job that asks for the verdicts. It runs nothing of the graph.
    pub(super) fn plan_job(&self, runner: &str, logins: &[Login]) -> String {
        let logins: String = logins.iter().map(Login::steps_without_secrets).collect();
        format!(
            "  plan:
    name: plan
    runs-on: {runner}
    timeout-minutes: 20
    permissions:
      contents: read
      packages: read
    outputs:
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
            checkout = checkout(),
            tool = cached_tool(),
            sync = self.sync(),
            graph = scalar(self.graph),
            profiles = self.flags(),
        )
    }

    /// The job of a pull request for what it changes. It gets no secret, and pushes nothing.
    pub(super) fn pull_request_job(&self, logins: &[Login]) -> String {
        let logins: String = logins.iter().map(Login::steps_without_secrets).collect();
        format!(
            "
  try:
    name: try ${{{{ matrix.name }}}}
    needs: plan
    if: github.event_name == 'pull_request' && needs.plan.outputs.any == 'true'
    strategy:
      fail-fast: false
      matrix: ${{{{ fromJSON(needs.plan.outputs.matrix) }}}}
    runs-on: ${{{{ matrix.runner }}}}
    timeout-minutes: 180
    permissions:
      contents: read
      packages: read
    steps:
{checkout}{tool}{logins}{sync}{emulation}      - name: Build
        env:
          GRAPH: {graph}
          STAGES: ${{{{ matrix.stages }}}}
        run: |
          read -ra stages <<< \"$STAGES\"
          xtask build --graph \"$GRAPH\"{profiles} --output oci --keep-going -- \"${{stages[@]}}\"
      - name: Verify
        env:
          GRAPH: {graph}
          STAGES: ${{{{ matrix.stages }}}}
        run: |
          read -ra stages <<< \"$STAGES\"
          xtask verify --graph \"$GRAPH\"{profiles} --output oci --policy-only -- \"${{stages[@]}}\"
",
            checkout = checkout(),
            tool = cached_tool(),
            sync = self.sync(),
            emulation = self.emulation(),
            graph = scalar(self.graph),
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
        format!(
            "
  build:
    name: build ${{{{ matrix.name }}}}
    needs: plan
    if: github.event_name == 'push' && needs.plan.outputs.any == 'true'
    strategy:
      fail-fast: false
      matrix: ${{{{ fromJSON(needs.plan.outputs.matrix) }}}}
    runs-on: ${{{{ matrix.runner }}}}
    timeout-minutes: 180
    permissions:
      contents: read
      packages: write
{identity}    steps:
{checkout}{tool}{logins}{sync}{emulation}      - name: Build
        env:
          GRAPH: {graph}
          STAGES: ${{{{ matrix.stages }}}}
{secrets}        run: |
          read -ra stages <<< \"$STAGES\"
          xtask build --graph \"$GRAPH\"{profiles} --keep-going -- \"${{stages[@]}}\"
",
            checkout = checkout(),
            tool = cached_tool(),
            sync = self.sync(),
            emulation = self.emulation(),
            graph = scalar(self.graph),
            profiles = self.flags(),
        )
    }

    /// The job that assembles the images of all platforms, verifies the set, and publishes it.
    /// `keyless` says how cosign signs, if it does. No cache is restored: whoever can write a cache
    /// must not be able to change what is published.
    pub(super) fn release_job(
        &self,
        runner: &str,
        shared: &[Login],
        targets: &[Login],
        keyless: Option<bool>,
    ) -> String {
        let identity = match keyless {
            Some(true) => IDENTITY.to_owned(),
            Some(false) | None => identity(shared.iter().chain(targets)),
        };
        let logins = |logins: &[Login]| logins.iter().map(Login::steps).collect::<String>();
        let cosign = keyless.map_or_else(String::new, |_| {
            format!("      - name: Install cosign\n        uses: {COSIGN}\n")
        });
        let cosign_key = match keyless {
            Some(false) => {
                "          COSIGN_PASSWORD: ${{ secrets.COSIGN_PASSWORD }}\n          COSIGN_PRIVATE_KEY: ${{ secrets.COSIGN_PRIVATE_KEY }}\n"
            }
            Some(true) | None => "",
        };
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
    # Releases wait for each other, in their order.
    concurrency:
      group: build-images-release
      queue: max
      cancel-in-progress: false
    permissions:
      contents: read
      packages: write
{identity}    steps:
{checkout}      - name: Compile the tool
        run: cargo build --locked --package xtask
{path}{shared}{sync}      - name: Put the platforms together
        env:
          GRAPH: {graph}
        run: xtask build --graph \"$GRAPH\"{profiles}
      - name: Verify
        env:
          GRAPH: {graph}
        run: xtask verify --graph \"$GRAPH\"{profiles}
{targets}{cosign}      - name: Publish
        env:
          GRAPH: {graph}
{cosign_key}        run: xtask publish --graph \"$GRAPH\"{profiles}
",
            runner = scalar(runner),
            checkout = checkout(),
            path = PATH,
            shared = logins(shared),
            targets = logins(targets),
            sync = self.sync(),
            graph = scalar(self.graph),
            profiles = self.flags(),
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

    fn emulation(&self) -> String {
        if !self.has_emulation {
            return String::new();
        }
        format!(
            "      - name: Set up emulation
        if: matrix.emulated
        env:
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

fn checkout() -> String {
    format!(
        "      - name: Check out
        uses: {CHECKOUT}
        with:
          persist-credentials: false
"
    )
}

/// Lets the steps that follow find the tool.
const PATH: &str = "      - name: Find the tool
        run: echo \"$GITHUB_WORKSPACE/target/debug\" >> \"$GITHUB_PATH\"
";

/// Compiles the tool, unless a job on such a machine has compiled the same before.
fn cached_tool() -> String {
    format!(
        "      - name: Restore the tool
        id: tool
        uses: {CACHE}
        with:
          path: target/debug/xtask
          key: xtask-${{{{ runner.os }}}}-${{{{ runner.arch }}}}-${{{{ hashFiles('Cargo.toml', 'Cargo.lock', '.cargo/**', 'xtask/**') }}}}
      - name: Compile the tool
        if: steps.tool.outputs.cache-hit != 'true'
        run: cargo build --locked --package xtask
{PATH}"
    )
}
