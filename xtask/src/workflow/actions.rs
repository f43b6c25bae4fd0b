//! The actions that the workflow uses, pinned by commit, as a tag can be moved to other code.

/// Fetches the repository.
pub(super) const CHECKOUT: &str =
    "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
/// Keeps files between runs.
pub(super) const CACHE: &str = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5";
/// Installs cosign.
pub(super) const COSIGN: &str =
    "sigstore/cosign-installer@6f9f17788090df1f26f669e9d70d6ae9567deba6 # v4.1.2";
/// Logs in to Amazon's service with GitHub's identity token.
pub(super) const AWS: &str =
    "aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3";
/// Logs in to Google's service with GitHub's identity token.
pub(super) const GOOGLE: &str =
    "google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093 # v3.0.0";
