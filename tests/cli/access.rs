//! Access to a registry: logins, tokens, helpers, certificates, mirrors and proxies.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::lock::{lock, one};
use crate::support::Project;
use crate::support::engine::Engine;
use crate::support::registry::{Door, Image, Play, Registry};
use crate::support::tls::Authority;

fn world() -> (Registry, Project, Engine) {
    on(Registry::start())
}

fn on(registry: Registry) -> (Registry, Project, Engine) {
    registry.put("team/one:1", &Image::of("1"));
    let (project, engine) = one(&format!("FROM {}\n", registry.reference("team/one:1")));
    (registry, project, engine)
}

/// docker's config with `user:hunter2` for the registry.
fn login(registry: &Registry, secret: &str) -> String {
    let (at, secret) = (registry.address(), secret);
    format!(r#"{{"auths":{{"http://{at}/v2/":{{"username":"user","password":"{secret}"}}}}}}"#)
}

#[test]
fn a_token_is_fetched_kept_and_renewed() {
    let (registry, project, _engine) = world();
    registry.guard(Door::Token(None));
    project.run(&["lock"]).ends(0);
    let asked = registry.lines();
    let tokens = asked.iter().filter(|line| line.contains("/token?"));
    let tokens: Vec<_> = tokens.collect();
    assert!(
        tokens[0].contains("scope=repository%3Ateam%2Fone%3Apull"),
        "{tokens:?}"
    );
    assert!(tokens[0].contains("service=here"), "{tokens:?}");
    assert_eq!(tokens.len(), 1, "{asked:?}");
    // A token that is no longer valid is replaced.
    let challenge = format!("Bearer realm=\"http://{}/token\"", registry.address());
    registry.play(
        "/blobs/",
        1,
        Play::Status(401, vec![("WWW-Authenticate", challenge)]),
    );
    std::fs::remove_file(project.path("build-graph.lock")).unwrap();
    project.run(&["lock"]).ends(0);
    let lines = registry.lines();
    let tokens = lines.iter().filter(|line| line.contains("/token?"));
    assert_eq!(tokens.count(), 2, "{lines:?}");
}

#[test]
fn a_login_goes_to_the_token_server_and_its_password_nowhere_else() {
    let (registry, project, _engine) = world();
    registry.guard(Door::Token(Some(("user", "hunter2"))));
    let refused = project.run(&["lock"]).ends(3).says("status 401");
    refused.says(&format!("docker login {}", registry.address()));
    registry.asked();
    let project = project.file("docker-config/config.json", login(&registry, "hunter2"));
    project.run(&["lock"]).ends(0).never_says("hunter2");
    let basic = |line: &str| line.starts_with("Basic ");
    for asked in registry.asked() {
        let given = asked
            .headers
            .get("authorization")
            .is_some_and(|given| basic(given));
        assert_eq!(given, asked.line.contains("/token"), "{asked:?}");
    }
    assert!(!lock(&project).contains("hunter2"));
    // The message distinguishes a wrong login from a missing one.
    let wrong = project.file("docker-config/config.json", login(&registry, "hunter3"));
    let update = wrong.run(&["lock", "--update"]).ends(3);
    update
        .says("the login in docker's config does not give access")
        .says("docker login")
        .never_says("hunter3");
}

#[test]
fn a_password_an_identity_and_a_helper_open_the_door_too() {
    let (registry, project, _engine) = world();
    registry.guard(Door::Password("user", "hunter2"));
    let project = project.file("docker-config/config.json", login(&registry, "hunter2"));
    project.run(&["lock"]).ends(0);

    let (registry, project, _engine) = world();
    registry.guard(Door::Identity("identity1"));
    let config = format!(
        r#"{{"auths":{{"{}":{{"identitytoken":"identity1"}}}}}}"#,
        registry.address()
    );
    let project = project.file("docker-config/config.json", config);
    project.run(&["lock"]).ends(0).never_says("identity1");
    assert!(
        registry
            .lines()
            .iter()
            .all(|line| !line.contains("identity1"))
    );

    let (registry, project, _engine) = world();
    registry.guard(Door::Token(Some(("user", "hunter2"))));
    let at = registry.address().to_owned();
    let config = format!(r#"{{"credHelpers":{{"{at}":"ours"}},"credsStore":"none-such"}}"#);
    let seen = project.path("seen");
    let seen = seen.display();
    let script = format!(
        "#!/bin/sh\n{{ echo \"$*\"; cat; }} > {seen}\nprintf '{{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"hunter2\"}}'\n"
    );
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let project = project
        .script("bin/docker-credential-ours", &script)
        .file("docker-config/config.json", config)
        .variable("PATH", &path);
    project.run(&["lock"]).ends(0).never_says("hunter2");
    let told = std::fs::read_to_string(project.path("seen")).unwrap();
    assert_eq!(told, format!("get\n{at}"));
}

#[test]
fn a_helper_that_is_not_there_matters_only_where_a_login_is_needed() {
    let (registry, project, _engine) = world();
    registry.guard(Door::Token(None));
    let project = project.file("docker-config/config.json", r#"{"credsStore":"none-such"}"#);
    project.run(&["lock"]).ends(0);
    registry.guard(Door::Token(Some(("user", "x"))));
    let refused = project.run(&["lock", "--update"]).ends(3);
    refused
        .says("docker-credential-none-such")
        .says("docker login");
}

#[test]
fn a_body_on_another_server_is_fetched_without_the_registrys_login() {
    let (registry, project, _engine) = world();
    registry.guard(Door::Token(Some(("user", "hunter2"))));
    let project = project.file("docker-config/config.json", login(&registry, "hunter2"));
    // Another server with the same content, which asks for no login.
    let other = Registry::start();
    other.put("team/one:1", &Image::of("1"));
    let blobs = other.blobs("team/one");
    for blob in &blobs {
        registry.play(
            blob,
            1,
            Play::Redirect(format!(
                "http://{}/v2/team/one/blobs/{blob}",
                other.address()
            )),
        );
    }
    project.run(&["lock"]).ends(0);
    let asked = other.asked();
    assert_eq!(asked.len(), blobs.len());
    assert!(
        asked
            .iter()
            .all(|asked| !asked.headers.contains_key("authorization"))
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused_and_a_companys_is_taken() {
    let authority = Authority::new();
    let (registry, project, _engine) = on(Registry::start_tls(authority.server("127.0.0.1")));
    let refused = project.run(&["lock"]).ends(3);
    refused
        .says("signed by an authority that this machine does not trust")
        .says("SSL_CERT_FILE")
        .says("/etc/docker/certs.d/");
    assert_eq!(registry.lines(), Vec::<String>::new(), "nothing was asked");
    let bundle = project.path("ca.pem");
    let project = project
        .file("ca.pem", authority.pem())
        .variable("SSL_CERT_FILE", bundle.to_str().unwrap())
        .variable("SSL_CERT_DIR", "/nonexistent");
    project.run(&["lock"]).ends(0);

    for (config, why) in [
        (authority.server("other.example"), "for another name"),
        (authority.old_server("127.0.0.1"), "out of date"),
    ] {
        let (registry, project, _engine) = on(Registry::start_tls(config));
        let bundle = project.path("ca.pem");
        let project = project
            .file("ca.pem", authority.pem())
            .variable("SSL_CERT_FILE", bundle.to_str().unwrap())
            .variable("SSL_CERT_DIR", "/nonexistent");
        project.run(&["lock"]).ends(3).says(why);
        assert_eq!(registry.lines(), Vec::<String>::new());
        assert!(!project.path("build-graph.lock").exists());
    }
}

#[test]
fn the_engines_mirrors_are_asked_in_their_order_before_docker_hub() {
    let (first, second) = (Registry::start(), Registry::start());
    let (whole, _) = second.put("library/python:3.12", &Image::of("1"));
    let (project, engine) = one("FROM python:3.12\n");
    engine.tell(&format!(
        r#"{{"Mirrors":["http://{}/","http://{}/"]}}"#,
        first.address(),
        second.address()
    ));
    project.run(&["lock"]).ends(0);
    let text = lock(&project);
    assert!(
        text.contains("[base.\"docker.io/library/python:3.12\"]") && text.contains(&whole),
        "{text}"
    );
    assert!(first.lines()[0].starts_with("HEAD /v2/library/python/manifests/3.12"));
    // A broken mirror costs one attempt. The final answer is Docker Hub's, which is behind a proxy
    // that does not exist.
    first.play("", 100, Play::status(500));
    second.play("", 100, Play::status(500));
    first.asked();
    let ran = project.run(&["lock", "--update"]).ends(3);
    ran.says("cannot reach registry-1.docker.io").says("proxy");
    assert_eq!(first.lines().len(), 1);
    // Mirrors are not asked for other registries' images.
    let (other, engine) = one(&format!("FROM {}\n", second.reference("team/one:1")));
    engine.tell(&format!(r#"{{"Mirrors":["http://{}/"]}}"#, first.address()));
    other.run(&["lock"]).ends(3);
    assert_eq!(first.lines(), Vec::<String>::new());
}

/// A proxy that connects all requests to one address, and notes where they were meant to go.
fn proxy(to: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, to) = (Arc::clone(&seen), to.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (noted, to) = (Arc::clone(&noted), to.clone());
            std::thread::spawn(move || carry(client, &to, &noted));
        }
    });
    (address, seen)
}

fn carry(mut client: TcpStream, to: &str, noted: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    noted
        .lock()
        .unwrap()
        .push(head.lines().next().unwrap().to_owned());
    let mut server = TcpStream::connect(to).unwrap();
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let _ = std::io::copy(&mut server, &mut client);
}

#[test]
fn a_registry_elsewhere_is_asked_through_the_proxy_unless_it_is_excepted() {
    let authority = Authority::new();
    let registry = Registry::start_tls(authority.server("registry.example"));
    registry.put("team/one:1", &Image::of("1"));
    let (proxy, seen) = proxy(registry.address());
    let (project, _engine) = one("FROM registry.example/team/one:1\n");
    let bundle = project.path("ca.pem");
    let project = project
        .file("ca.pem", authority.pem())
        .variable("SSL_CERT_FILE", bundle.to_str().unwrap())
        .variable("SSL_CERT_DIR", "/nonexistent")
        .variable("HTTPS_PROXY", &format!("http://{proxy}"));
    project.run(&["lock"]).ends(0);
    let seen = || std::mem::take(&mut *seen.lock().unwrap());
    let lines = seen();
    assert!(!lines.is_empty());
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("CONNECT registry.example:443 ")),
        "{lines:?}"
    );
    // Plain HTTP is only for this machine: a remote registry without TLS is not asked.
    let plain = Registry::start();
    let (proxy, _) = self::proxy(plain.address());
    let project = project.variable("HTTPS_PROXY", &format!("http://{proxy}"));
    project
        .run(&["lock", "--update"])
        .ends(3)
        .says("registry.example");
    assert_eq!(plain.lines(), Vec::<String>::new());
    let project = project
        .variable("NO_PROXY", "example")
        .variable("XTASK_REGISTRY_TIMEOUT", "1");
    project
        .run(&["lock", "--update"])
        .ends(3)
        .says("cannot reach registry.example");
    assert_eq!(seen(), Vec::<String>::new());
}
