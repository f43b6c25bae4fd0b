//! `cargo xtask key`: makes the key with which this machine signs what it shares.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::cli::KeyArgs;
use crate::fault::{Fault, Result};
use crate::freshness::shared::signing::{KEY_FILE, Signer};
use crate::graphfile::spec::sharing::public_key_text;

/// Writes a new private key into a file that only its owner reads, and prints the public half. A
/// file that is there is never overwritten: its public half is printed.
pub fn run(args: &KeyArgs) -> Result<()> {
    let path = &args.file;
    let text = Signer::new_key_text()?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let signer = match file {
        Ok(mut file) => {
            let written = file.write_all(format!("{text}\n").as_bytes());
            written
                .and_then(|()| file.sync_all())
                .map_err(|error| Fault::lacks(format!("cannot write the key {path}: {error}")))?;
            crate::tell!(
                "the private key is in {path}: keep it, and set {KEY_FILE}={path} where records are to be signed"
            );
            Signer::of_text(&text)?
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Fault::lacks(format!("cannot read the key {path}: {error}")))?;
            Signer::of_text(&text).map_err(|_| {
                Fault::usage(format!(
                    "{path} exists and is not a signing key: name another file"
                ))
            })?
        }
        Err(error) => {
            return Err(Fault::lacks(format!(
                "cannot write the key {path}: {error}"
            )));
        }
    };
    super::print(&format!("{}\n", public_key_text(&signer.public())));
    Ok(())
}
