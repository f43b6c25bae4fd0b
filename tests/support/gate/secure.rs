//! A real registry of its own for a test, with TLS and a login, such as a company's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

const PROGRAM: &str = "/usr/bin/docker-registry";

pub const USER: &str = "u";
pub const PASSWORD: &str = "gate-test-password";

/// The registry knows passwords by bcrypt only. This is `PASSWORD`, with the least cost that bcrypt
/// allows: the registry computes it for each request.
const HTPASSWD: &str = "u:$2y$04$h6KRMWYLxZCzB66ugqw3UOMZxOmcbt65cqRxwYEFRpYvV5XutiuJW\n";

/// `USER:PASSWORD` in base64.
const LOGIN: &str = "dTpnYXRlLXRlc3QtcGFzc3dvcmQ=";

/// The paths are below the folder that the registry runs in. The system chooses the port: a port
/// that was free a moment ago may be taken now.
const CONFIGURATION: &str = "
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: storage}, delete: {enabled: true}}
http: {addr: '127.0.0.1:0', tls: {certificate: certificate.pem, key: key.pem}}
auth: {htpasswd: {realm: here, path: htpasswd}}
";

/// Many times as long as a start takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A registry that runs until it is dropped.
pub struct SecureRegistry {
    child: Child,
    address: String,
    ca: PathBuf,
}

impl SecureRegistry {
    /// Whether this machine has the registry's program.
    pub fn is_possible() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Starts a registry that keeps all that it has in this folder.
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let signed = Signed::new();
        for (name, content) in [
            ("ca.pem", &*signed.ca),
            ("certificate.pem", &signed.certificate),
            ("key.pem", &signed.key),
            ("htpasswd", HTPASSWD),
            ("configuration.yml", CONFIGURATION),
        ] {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let mut child = Command::new(PROGRAM)
            .args(["serve", "configuration.yml"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = child.stderr.take().unwrap();
        let mut log = std::fs::File::create(folder.join("log")).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // The pipe is read to its end, because the registry stops when it is full.
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                if let Some(address) = listening(&line) {
                    let _ = tell.send(address.to_owned());
                }
            }
        });
        // From here on the registry ends with the value, also if the start fails.
        let mut registry = Self {
            child,
            address: String::new(),
            ca: folder.join("ca.pem"),
        };
        registry.address = told.recv_timeout(LIMIT).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the registry does not listen; it said: {log}")
        });
        registry
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A reference to an image in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The file with the CA's certificate. A client that has it in `SSL_CERT_FILE` trusts the
    /// registry.
    pub fn ca_pem(&self) -> &Path {
        &self.ca
    }

    /// The value of an `Authorization` header.
    pub fn authorization() -> String {
        format!("Basic {LOGIN}")
    }

    /// Writes the login into a folder, as `docker login` does. A client finds it by
    /// `DOCKER_CONFIG`.
    pub fn log_in(&self, folder: &Path) {
        let address = &self.address;
        let config = format!(r#"{{"auths":{{"{address}":{{"auth":"{LOGIN}"}}}}}}"#);
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
    }
}

impl Drop for SecureRegistry {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that the registry logs once its socket takes connections.
fn listening(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("listening on ")?;
    rest.split([',', '"', ' ']).next()
}

/// A server's certificate, and the CA that signed it.
struct Signed {
    ca: String,
    certificate: String,
    key: String,
}

impl Signed {
    fn new() -> Self {
        // Two names, because OpenSSL takes a certificate with its issuer's name for self-signed.
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "a CA for a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();

        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "a registry for a test");
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        Self {
            ca: issuer.pem(),
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
