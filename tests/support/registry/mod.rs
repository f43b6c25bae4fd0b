//! A registry on loopback, in the test's own process, that plays the faults of real registries.
//!
//! It has the reading half of the distribution spec and tokens, and can break off, stall and lie.
//! It takes no uploads: a test puts images in directly.

mod serving;

use std::collections::{BTreeMap, HashMap};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use serving::answer;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The digest of bytes, `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut digest = "sha256:".to_owned();
    for byte in hash.as_ref() {
        digest += &format!("{byte:02x}");
    }
    digest
}

/// The parts of an image that a lock can see.
#[derive(Clone)]
pub struct Image {
    platforms: Vec<(String, String)>,
    onbuild: bool,
    created: String,
    index: bool,
}

impl Image {
    /// An image for `linux/amd64` and `linux/arm64` with this content.
    pub fn of(content: &str) -> Self {
        Self {
            platforms: Vec::new(),
            onbuild: false,
            created: "2026-11-20T10:00:00Z".into(),
            index: true,
        }
        .platform("linux/amd64", content)
        .platform("linux/arm64", content)
    }

    /// An image for a single platform, without an index.
    pub fn single(content: &str) -> Self {
        Self {
            platforms: vec![("linux/amd64".into(), content.into())],
            index: false,
            ..Self::of(content)
        }
    }

    /// Gives a platform its own content.
    pub fn platform(mut self, platform: &str, content: &str) -> Self {
        self.platforms.retain(|(known, _)| known != platform);
        self.platforms.push((platform.into(), content.into()));
        self
    }

    pub fn with_triggers(mut self) -> Self {
        self.onbuild = true;
        self
    }

    pub fn created(mut self, created: &str) -> Self {
        self.created = created.into();
        self
    }
}

/// Faults that the registry can play instead of an answer.
#[derive(Clone)]
pub enum Play {
    /// A status with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is reset.
    Reset,
    /// The connection is closed without an answer.
    Close,
    /// The body breaks off after half of the promised length.
    Cut,
    /// Half of the body, presented as the whole.
    Truncated,
    /// Other content, of at least the right length.
    Other(Vec<u8>),
    /// The right content, with another digest in the header.
    Misnamed,
    /// The body comes a byte at a time, more slowly than any client waits for.
    Drip,
    /// Nothing comes until the test ends.
    Hang,
    /// Bytes that are not HTTP.
    Noise,
    /// A redirect to another address.
    Redirect(String),
}

impl Play {
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    pub fn wait(status: u16, seconds: &str) -> Self {
        Self::Status(status, vec![("Retry-After", seconds.into())])
    }
}

/// The login that readers need.
#[derive(Clone)]
pub enum Door {
    Open,
    /// A user name and a password in the request itself.
    Password(&'static str, &'static str),
    /// A token of this registry's own token server, which asks for the login if there is one.
    Token(Option<(&'static str, &'static str)>),
    /// A token in exchange for an identity token.
    Identity(&'static str),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

struct Rule {
    part: String,
    left: usize,
    play: Play,
}

struct State {
    /// By path below `/v2/`.
    content: HashMap<String, (String, Vec<u8>)>,
    rules: Vec<Rule>,
    asked: Vec<Asked>,
    door: Door,
    address: String,
    scheme: &'static str,
}

/// A registry that answers for as long as the test program runs.
#[derive(Clone)]
pub struct Registry {
    state: Arc<Mutex<State>>,
    address: String,
}

impl Registry {
    /// Starts a registry with plain HTTP.
    pub fn start() -> Self {
        Self::serve("http", answer)
    }

    /// Starts a registry with TLS.
    pub fn start_tls(config: rustls::ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::serve("https", move |stream, state| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            answer(rustls::StreamOwned::new(connection, stream), state);
        })
    }

    fn serve(
        scheme: &'static str,
        talk: impl Fn(TcpStream, &Mutex<State>) + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            content: HashMap::new(),
            rules: Vec::new(),
            asked: Vec::new(),
            door: Door::Open,
            address: address.clone(),
            scheme,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, talk) = (Arc::clone(&shared), talk.clone());
                std::thread::spawn(move || talk(stream, &state));
            }
        });
        Self { state, address }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A reference to an image in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Puts an image under `name:tag`. Returns the digest of the whole, and of each platform.
    pub fn put(&self, name: &str, image: &Image) -> (String, BTreeMap<String, String>) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let mut manifests = BTreeMap::new();
        let mut entries = Vec::new();
        let mut one = Vec::new();
        for (platform, content) in &image.platforms {
            let (os, arch) = platform.split_once('/').unwrap();
            let triggers = image.onbuild.then(|| vec!["COPY hidden /hidden"]);
            let config = json!({
                "architecture": arch, "os": os, "created": image.created,
                "config": {"Env": [content], "OnBuild": triggers},
            });
            let config = serde_json::to_vec(&config).unwrap();
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                "config": {"digest": digest(&config), "size": config.len()},
            });
            self.put_blob(repository, &config);
            one = serde_json::to_vec(&manifest).unwrap();
            self.put_raw(
                &format!("{repository}/manifests/{}", digest(&one)),
                MANIFEST,
                &one,
            );
            manifests.insert(platform.clone(), digest(&one));
            entries.push(json!({
                "mediaType": MANIFEST, "digest": digest(&one), "size": one.len(),
                "platform": {"os": os, "architecture": arch},
            }));
        }
        let whole = if image.index {
            serde_json::to_vec(
                &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}),
            )
            .unwrap()
        } else {
            one
        };
        let kind = if image.index { INDEX } else { MANIFEST };
        (self.put_manifest(repository, tag, kind, &whole), manifests)
    }

    /// Puts any bytes in place of a manifest.
    pub fn put_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        for name in [tag, &digest] {
            self.put_raw(&format!("{repository}/manifests/{name}"), kind, bytes);
        }
        digest
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.put_raw(
            &format!("{repository}/blobs/{digest}"),
            "application/octet-stream",
            bytes,
        );
        digest
    }

    /// The digests of all blobs, which are not manifests.
    pub fn blobs(&self, repository: &str) -> Vec<String> {
        let prefix = format!("{repository}/blobs/");
        let state = self.state();
        let paths = state.content.keys();
        paths
            .filter_map(|path| path.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    }

    fn put_raw(&self, path: &str, kind: &str, bytes: &[u8]) {
        let content = (kind.to_owned(), bytes.to_vec());
        self.state().content.insert(path.to_owned(), content);
    }

    /// Plays a fault for the next `times` requests whose line (`HEAD /v2/…`) contains `part`.
    pub fn play(&self, part: &str, times: usize, play: Play) {
        let part = part.to_owned();
        self.state().rules.push(Rule {
            part,
            left: times,
            play,
        });
    }

    /// Stops all faults.
    pub fn mend(&self) {
        self.state().rules.clear();
    }

    pub fn guard(&self, door: Door) {
        self.state().door = door;
    }

    /// The requests since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// The lines of the requests since the last call: `HEAD /v2/…`.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}
