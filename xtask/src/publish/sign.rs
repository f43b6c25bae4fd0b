//! Signatures by `cosign`, if the graph wants them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use camino::Utf8PathBuf;

use super::release::Release;
use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::graphfile::spec::publishing::{Cosign, Target};
use crate::outside::{push, state};
use reference::Reference;
use registry::Effort;

/// Signs every image of a release in every target, by digest, before any tag moves.
pub fn sign(work: &Workspace, release: &Release, targets: &BTreeMap<String, Target>) -> Result<()> {
    let Some(cosign) = &work.spec.publishing.cosign else {
        return Ok(());
    };
    for target in targets.values() {
        for image in &release.images {
            let place = target.name_of(&image.image);
            let reference = format!("{place}@{}", image.top.digest);
            super::stop_if_wanted()?;
            let note = note(work, cosign, &reference);
            let parsed = push::reference(&place)?;
            if note.exists() && has_signature(work, &parsed, &image.top.digest)? {
                continue;
            }
            crate::tell!("signing {reference}");
            let is_loopback = parsed.registry.starts_with("127.");
            let status = Command::new("cosign")
                .args(arguments(cosign, &reference, is_loopback))
                .current_dir(&work.spec.root)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            let status = status.map_err(|error| {
                Fault::lacks(format!(
                    "cannot start `cosign`, which `[publish]` wants to sign with: {error}; install it, or remove `cosign`"
                ))
            })?;
            if !status.success() {
                return Err(Fault::failed(format!(
                    "`cosign` does not sign {reference} ({status}): no tag was moved"
                )));
            }
            // Without the note the next publish signs once more, which does no harm.
            let _ = state::write_atomically(&note, b"");
        }
    }
    Ok(())
}

/// The file that says that an image was signed here with this key.
fn note(work: &Workspace, cosign: &Cosign, reference: &str) -> Utf8PathBuf {
    let hash = blake3::hash(format!("{cosign:?}\0{reference}").as_bytes());
    work.state.path("signed").join(&hash.to_hex()[..32])
}

/// Whether the registry has a signature of an image, where `cosign` puts it.
fn has_signature(work: &Workspace, place: &Reference, digest: &str) -> Result<bool> {
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let found = work.registries()?.has_manifest(place, &tag, Effort::Full)?;
    Ok(found.is_some())
}

/// The arguments of `cosign sign` (`docs.sigstore.dev/cosign/signing/signing_with_containers`). A
/// password of the key comes from `COSIGN_PASSWORD`, never from here.
fn arguments(cosign: &Cosign, reference: &str, is_loopback: bool) -> Vec<String> {
    let mut arguments = vec!["sign".to_owned(), "--yes".to_owned()];
    if let Cosign::Key(key) = cosign {
        // Without an identity there is nothing to note in the public log.
        arguments.push("--tlog-upload=false".to_owned());
        arguments.push(format!("--key={key}"));
    }
    if is_loopback {
        arguments.push("--allow-http-registry".to_owned());
    }
    arguments.push("--".to_owned());
    arguments.push(reference.to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_without_the_public_log_and_an_identity_with_it() {
        let keyless = arguments(&Cosign::Keyless, "r/x@sha256:1", false);
        assert_eq!(keyless, ["sign", "--yes", "--", "r/x@sha256:1"]);
        let key = arguments(
            &Cosign::Key("env://COSIGN_KEY".into()),
            "r/x@sha256:1",
            true,
        );
        let expected = [
            "sign",
            "--yes",
            "--tlog-upload=false",
            "--key=env://COSIGN_KEY",
            "--allow-http-registry",
            "--",
            "r/x@sha256:1",
        ];
        assert_eq!(key, expected);
    }
}
