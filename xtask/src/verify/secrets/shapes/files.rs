//! Files that hold logins, and settings that hold secrets without a shape.

use crate::verify::secrets::shape::{Find, Proof, Shape};

const BUILD_SECRET: &str = "change the secret; keep the file out with .dockerignore, or give it with RUN --mount=type=secret";

/// An entry of this group: a name finds it, and the value decides.
const fn entry(
    id: &'static str,
    what: &'static str,
    why: &'static str,
    source: &'static str,
    repair: &'static str,
) -> Shape {
    Shape {
        id,
        what,
        why,
        source,
        repair,
        proof: Proof::Likeness,
        find: Find::Elsewhere,
    }
}

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    entry(
        "env-file",
        "a secret in an environment file",
        "such a file is read at start, so its values are in use",
        "a file called .env, .env.* or *.env, a setting named as a secret, and a value that is not a \
         placeholder",
        BUILD_SECRET,
    ),
    entry(
        "setting",
        "a secret in a setting",
        "everybody who pulls the image reads its config, its labels and its history",
        "a setting named as a secret (the last word of its name), and a value that looks random",
        "change the secret; give it at run time, or with RUN --mount=type=secret",
    ),
    entry(
        "npm-login",
        "a login for an npm registry",
        "reads private packages, or publishes",
        "docs.npmjs.com, \"npmrc\": _authToken, _auth or _password with a value that is not a variable",
        BUILD_SECRET,
    ),
    entry(
        "pypi-login",
        "a login for a Python package index",
        "publishes releases, or reads private ones",
        "packaging.python.org, \"The .pypirc file\": a password that is not a placeholder",
        BUILD_SECRET,
    ),
    entry(
        "netrc",
        "a login in .netrc",
        "curl, git and pip log in with it",
        "GNU inetutils, \"The .netrc file\": a password that is not a placeholder",
        BUILD_SECRET,
    ),
    entry(
        "docker-login",
        "a login for a registry",
        "pulls and pushes images as its owner",
        "docs.docker.com, `docker login`: an entry of auths with auth or identitytoken",
        "run `docker logout`, change the password, and keep ~/.docker out of the context",
    ),
    entry(
        "kube-login",
        "a login for a Kubernetes cluster",
        "acts in the cluster as that user",
        "kubernetes.io, kubeconfig (v1): a user's token or password",
        "delete the token or the user's binding, and keep ~/.kube out of the context",
    ),
    entry(
        "htpasswd",
        "the hash of a password",
        "common passwords are found from such a hash within hours",
        "httpd.apache.org, \"Password formats\": user:hash in a file called .htpasswd",
        "change the password; mount the file at run time",
    ),
    entry(
        "gcloud-login",
        "a login for Google Cloud",
        "acts as the person who ran `gcloud auth login`",
        "cloud.google.com, application default credentials: type authorized_user and a refresh_token",
        "run `gcloud auth application-default revoke`",
    ),
    entry(
        "git-folder",
        "a git repository",
        "all its history can be read, with what was deleted since, and its config may hold a login",
        "git-scm.com, gitrepository-layout: config, packed-refs or objects in a folder called .git",
        "add .git to .dockerignore, or copy single folders",
    ),
    entry(
        "git-login",
        "a login in a git config",
        "fetches and pushes as its owner: actions/checkout writes its token there",
        "github.com/actions/checkout, persist-credentials: http.extraheader with AUTHORIZATION",
        "add .git to .dockerignore; set persist-credentials to false",
    ),
    entry(
        "default-key",
        "a default key of Dify",
        "the same in every installation that did not change it, so everybody knows it",
        "docker/.env.example, docker-compose.yaml and api/.env.example of langgenius/dify, 0.15.3 \
         and mid 2026",
        "set a value of your own: `openssl rand -base64 42`",
    ),
];
