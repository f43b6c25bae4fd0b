//! Records beyond one machine: each is an artifact in a registry, found by the key alone.
//!
//! The tag of a record is its key, so one GET answers whether somebody has built this before: no
//! list of tags and no look-up of referrers, which some registries do not have. What is recorded
//! stands in an annotation of the manifest, and is signed as it stands there.

mod artifact;
pub mod outputs;
pub mod signing;
pub mod thing;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::record::{Record, RecordedManifest, Volatile};
use crate::fault::Fault;
use crate::graphfile::spec::sharing::{Sharing, Trust};
use crate::outside::clock;
use crate::outside::index::ManifestEntry;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use artifact::Artifact;
use outputs::SharedOutputs;
use reference::Reference;
use registry::{Effort, Registries};
use signing::Signer;

/// The version of what a record says. 1: the first.
const VERSION: u32 = 1;

/// What is shared of a build: all that another machine must know to take the image for its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedRecord {
    version: u32,
    /// The key.
    key: Key,
    /// The stage's name there, for people.
    stage: String,
    /// The platform that the image is for.
    platform: String,
    /// The repository that has the image: `host/path`.
    repository: String,
    /// The image's manifest.
    manifest: ManifestEntry,
    /// The digest of the image's configuration.
    config: String,
    /// In bytes.
    size: u64,
    /// How long the build took, in milliseconds.
    duration_ms: u64,
    /// When it ended, in milliseconds since 1970.
    ended_ms: u64,
    #[serde(default, skip_serializing_if = "Volatile::is_empty")]
    volatile: Volatile,
}

impl SharedRecord {
    /// What is shared of a record; `None` unless its image is in a registry by digest, for one
    /// platform.
    pub fn of(stage: &str, platforms: &[String], record: &Record) -> Option<Self> {
        let ImagePlace::Registry(reference) = record.place() else {
            return None;
        };
        let ([platform], Some(manifest)) = (platforms, &record.manifest) else {
            return None;
        };
        let (repository, _) = reference.split_once('@')?;
        Some(Self {
            version: VERSION,
            key: record.key,
            stage: stage.to_owned(),
            platform: platform.clone(),
            repository: repository.to_owned(),
            manifest: manifest.descriptor.clone(),
            config: manifest.config.clone(),
            size: record.size,
            duration_ms: record.duration_ms,
            ended_ms: record.ended_ms,
            volatile: record.volatile.clone(),
        })
    }

    /// Why it does not answer a question; `None` if it does.
    fn objection(&self, key: Key, platforms: &[String], sharing: &Sharing) -> Option<String> {
        let Self {
            version, platform, ..
        } = self;
        if *version != VERSION {
            return Some(format!("it is of version {version}, not {VERSION}"));
        }
        if self.key != key {
            return Some(format!("it is the record of another key, {}", self.key));
        }
        if platforms != std::slice::from_ref(platform) {
            return Some(format!("its image is for {platform}"));
        }
        let below = format!("{}/", sharing.url);
        if !self.repository.starts_with(&below) {
            let (repository, url) = (&self.repository, &sharing.url);
            return Some(format!(
                "its image is in {repository}, which is not below {url}"
            ));
        }
        let digests = [&self.manifest.digest, &self.config];
        if !digests
            .into_iter()
            .all(|digest| reference::is_sha256(digest))
        {
            return Some("it does not name its image by digest".to_owned());
        }
        None
    }

    fn into_record(self) -> Record {
        let image = self.manifest.digest.clone();
        let place = ImagePlace::Registry(format!("{}@{image}", self.repository));
        Record {
            key: self.key,
            image,
            private: place.handle(),
            references: Vec::new(),
            size: self.size,
            duration_ms: self.duration_ms,
            ended_ms: self.ended_ms,
            volatile: self.volatile,
            manifest: Some(RecordedManifest {
                descriptor: self.manifest,
                config: self.config,
            }),
            parts: Vec::new(),
        }
    }
}

/// The answer of a registry about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedAnswer {
    /// Nobody has built it, as far as the registry knows.
    Nothing,
    /// Somebody has built it, and the image is there.
    Found(Box<Record>),
    /// There is a record that is not believed; the sentence says why.
    Refused(String),
}

/// The answer of a registry about a host command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputsAnswer {
    /// Nobody has shared what it makes.
    Nothing,
    /// Somebody has.
    Found(Box<SharedOutputs>),
    /// There is something that is not believed; the sentence says why.
    Refused(String),
}

/// Shared records of one registry.
pub struct Shared<'s> {
    sharing: &'s Sharing,
    registries: &'s Registries,
    signer: Option<&'s Signer>,
}

impl<'s> Shared<'s> {
    /// The records of a registry. `signer` has the key of this machine.
    pub const fn new(
        sharing: &'s Sharing,
        registries: &'s Registries,
        signer: Option<&'s Signer>,
    ) -> Self {
        Self {
            sharing,
            registries,
            signer,
        }
    }

    /// Asks for the record of a stage's key: one GET, and one HEAD of the image if there is one.
    /// An error means that the registry could not be asked.
    pub fn look_up(&self, key: Key, platforms: &[String]) -> Result<SharedAnswer, Fault> {
        let text = match self.get(&key.hex())? {
            Got::Nothing => return Ok(SharedAnswer::Nothing),
            Got::Refused(why) => return Ok(self.refused(key, &why)),
            Got::Text(text) => text,
        };
        let Ok(record) = serde_json::from_str::<SharedRecord>(&text) else {
            return Ok(self.refused(key, "what it says is not a record"));
        };
        if let Some(why) = record.objection(key, platforms, self.sharing) {
            return Ok(self.refused(key, &why));
        }
        let (repository, digest) = (&record.repository, &record.manifest.digest);
        let image = push::reference(&format!("{repository}@{digest}"))?;
        let found = self
            .registries
            .has_manifest(&image, digest, Effort::Brief)?;
        if found.as_deref() != Some(digest) {
            let why = format!("its image {repository}@{digest} is not there");
            return Ok(self.refused(key, &why));
        }
        Ok(SharedAnswer::Found(Box::new(record.into_record())))
    }

    /// Shares a record, if there is no obstacle.
    pub fn put(&self, record: &SharedRecord) -> Result<(), Fault> {
        let text = serde_json::to_string(record)
            .map_err(|error| Fault::failed(format!("a record cannot be written: {error}")))?;
        self.put_text(&record.key.hex(), text, None)
    }

    /// Asks for what a host command would make: one GET. `outputs` are those of the command here.
    pub fn outputs(&self, question: &str, outputs: &[PathBuf]) -> Result<OutputsAnswer, Fault> {
        let refused = |why: &str| {
            let records = self.sharing.records();
            OutputsAnswer::Refused(format!(
                "what a host command made, {records}:{question}, is not believed: {why}"
            ))
        };
        let text = match self.get(question)? {
            Got::Nothing => return Ok(OutputsAnswer::Nothing),
            Got::Refused(why) => return Ok(refused(&why)),
            Got::Text(text) => text,
        };
        let Ok(shared) = serde_json::from_str::<SharedOutputs>(&text) else {
            return Ok(refused("what it says is not a list of outputs"));
        };
        if shared.version != outputs::VERSION || shared.question != question {
            return Ok(refused("it answers another question"));
        }
        if !shared.fits(outputs) || shared.inputs().is_none() {
            return Ok(refused(
                "it names files that are not outputs of the command",
            ));
        }
        Ok(OutputsAnswer::Found(Box::new(shared)))
    }

    /// Writes the archive of shared outputs.
    pub fn fetch_outputs(
        &self,
        shared: &SharedOutputs,
        into: &mut dyn std::io::Write,
    ) -> Result<(), Fault> {
        let reference = self.reference(&shared.question)?;
        let mut bounded = Bounded {
            into,
            left: shared.blob.size,
        };
        self.registries
            .read_blob(&reference, &shared.blob.digest, &mut bounded)?;
        Ok(())
    }

    /// Shares what a host command made; `archive` is the file of its blob.
    pub fn put_outputs(
        &self,
        shared: &SharedOutputs,
        archive: &std::path::Path,
    ) -> Result<(), Fault> {
        let reference = self.reference(&shared.question)?;
        let blob = &shared.blob;
        if !self
            .registries
            .has_blob(&reference, &blob.digest, Effort::Full)?
        {
            let open = || -> std::io::Result<Box<dyn std::io::Read + Send>> {
                Ok(Box::new(std::fs::File::open(archive)?))
            };
            self.registries
                .upload_blob(&reference, &blob.digest, blob.size, &open)?;
        }
        let text = serde_json::to_string(shared).map_err(|error| {
            Fault::failed(format!("a list of outputs cannot be written: {error}"))
        })?;
        self.put_text(&shared.question, text, Some(blob.clone()))
    }

    fn refused(&self, key: Key, why: &str) -> SharedAnswer {
        let (records, tag) = (self.sharing.records(), key.hex());
        SharedAnswer::Refused(format!("the record {records}:{tag} is not believed: {why}"))
    }

    fn reference(&self, tag: &str) -> Result<Reference, Fault> {
        push::reference(&format!("{}:{tag}", self.sharing.records()))
    }

    /// The signed text under a tag.
    fn get(&self, tag: &str) -> Result<Got, Fault> {
        let reference = self.reference(tag)?;
        let Some(body) = self.registries.manifest(&reference, tag, Effort::Brief)? else {
            return Ok(Got::Nothing);
        };
        let artifact = match Artifact::read(&body.bytes) {
            Ok(artifact) => artifact,
            Err(why) => return Ok(Got::Refused(why.to_owned())),
        };
        Ok(match self.objection(&artifact) {
            Some(why) => Got::Refused(why.to_owned()),
            None => Got::Text(artifact.text),
        })
    }

    /// Why the signature of an artifact is not enough; `None` if it is.
    fn objection(&self, artifact: &Artifact) -> Option<&'static str> {
        let own;
        let keys = match &self.sharing.trust {
            Trust::Anybody => return None,
            Trust::Keys(keys) => keys.as_slice(),
            Trust::Own => {
                own = self.signer.map(Signer::public);
                own.as_slice()
            }
        };
        match &artifact.signature {
            None => Some("nobody signed it"),
            Some(signature) if signature.is_of_any(keys, &artifact.text) => None,
            Some(_) => Some("nobody whom `trust` names signed it"),
        }
    }

    /// Why this machine cannot share anything; `None` if it can.
    pub fn obstacle(&self) -> Option<String> {
        let may = self.signer.is_some() || self.sharing.trust == Trust::Anybody;
        (!may).then(|| {
            format!(
                "records are not shared, as this machine has no key to sign them with: set {} or {}",
                signing::KEY,
                signing::KEY_FILE
            )
        })
    }

    fn put_text(
        &self,
        tag: &str,
        text: String,
        content: Option<ManifestEntry>,
    ) -> Result<(), Fault> {
        let signature = self.signer.map(|signer| signer.sign(&text));
        let artifact = Artifact {
            text,
            signature,
            // A record says itself when its build ended.
            made: content
                .as_ref()
                .and_then(|_| i64::try_from(clock::now().as_secs()).ok()),
            content,
        };
        let reference = self.reference(tag)?;
        for blob in artifact::blobs() {
            let (digest, size) = (crate::outside::index::digest(blob), blob.len() as u64);
            if !self
                .registries
                .has_blob(&reference, &digest, Effort::Full)?
            {
                let open =
                    || -> std::io::Result<Box<dyn std::io::Read + Send>> { Ok(Box::new(blob)) };
                self.registries
                    .upload_blob(&reference, &digest, size, &open)?;
            }
        }
        let bytes = artifact.bytes();
        self.registries
            .put_manifest(&reference, tag, push::MANIFEST, &bytes)?;
        Ok(())
    }
}

/// Takes no more bytes than were announced.
struct Bounded<'w> {
    into: &'w mut dyn std::io::Write,
    left: u64,
}

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let more = bytes.len() as u64;
        self.left = self
            .left
            .checked_sub(more)
            .ok_or_else(|| std::io::Error::other("it is longer than its record says"))?;
        self.into.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.into.flush()
    }
}

/// What a tag leads to.
enum Got {
    Nothing,
    Refused(String),
    Text(String),
}
