//! Clouds and the software that runs in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pairs;
use crate::verify::secrets::letters::{ALNUM, Alphabet, BASE64, HEX, URL64};
use crate::verify::secrets::shape::{Find, Hit, Proof, Shape, Test, mixed, random};
use crate::verify::secrets::view::TextView;

const AZURE: Alphabet = Alphabet::of("0-9A-Za-z_~.-");

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "aws-access-key",
        what: "an AWS access key",
        why: "acts in the account with the rights of its user, for as long as it exists",
        source: "docs.aws.amazon.com, IAM identifiers: AKIA and 16 characters of base 32, beside a \
                 secret of 40 characters of base64",
        repair: "deactivate, then delete it: `aws iam delete-access-key`",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["AKIA"],
            at: pairs::aws,
        },
    },
    Shape {
        id: "aws-secret-key",
        what: "an AWS secret access key",
        why: "acts in the account together with its id, which is not a secret",
        source: "docs.aws.amazon.com, the settings of the CLI: aws_secret_access_key and 40 \
                 characters of base64",
        repair: "deactivate, then delete it: `aws iam delete-access-key`",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["ws_secret_access_key", "WS_SECRET_ACCESS_KEY"],
            at: pairs::aws_by_name,
        },
    },
    Shape {
        id: "alibaba-access-key",
        what: "an Alibaba Cloud access key",
        why: "acts in the account with the rights of its user",
        source: "help.aliyun.com, AccessKey pairs; lengths as in gitleaks: LTAI and up to 20 \
                 characters, beside a secret of 30",
        repair: "disable it in the RAM console, then delete it",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["LTAI"],
            at: pairs::alibaba,
        },
    },
    Shape {
        id: "tencent-access-key",
        what: "a Tencent Cloud access key",
        why: "acts in the account with the rights of its user",
        source: "cloud.tencent.com, CAM: a SecretId of AKID and 32 characters, beside a SecretKey \
                 of 32",
        repair: "disable it at console.cloud.tencent.com/cam/capi, then delete it",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["AKID"],
            at: pairs::tencent,
        },
    },
    Shape {
        id: "azure-account-key",
        what: "the key of an Azure account",
        why: "reads and writes all of that storage, database or bus",
        source: "learn.microsoft.com, connection strings: AccountKey= and 64 bytes in base64, \
                 SharedAccessKey= and 32",
        repair: "rotate it: `az storage account keys renew`, or the like for the service",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["AccountKey=", "SharedAccessKey="],
            at: azure_account,
        },
    },
    Shape {
        id: "azure-client-secret",
        what: "the secret of an Azure application",
        why: "signs in as that application",
        source: "learn.microsoft.com, Entra application secrets; as in gitleaks: three characters, \
                 a digit, Q~ and 31 to 34 characters",
        repair: "remove it under \"Certificates & secrets\" of the application",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &[
                "0Q~", "1Q~", "2Q~", "3Q~", "4Q~", "5Q~", "6Q~", "7Q~", "8Q~", "9Q~",
            ],
            at: azure_client,
        },
    },
    Shape {
        id: "azure-key",
        what: "an Azure key",
        why: "pays for models and services, or acts on Azure DevOps, as its owner",
        source: "github.com/microsoft/security-utilities, common annotated security keys: 84 \
                 characters with JQQJ99 after 52",
        repair: "regenerate it on the \"Keys and Endpoint\" page of the resource",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["JQQJ99"],
            at: azure_annotated,
        },
    },
    Shape {
        id: "digitalocean-token",
        what: "a DigitalOcean token",
        why: "creates, reads and destroys what the account has",
        source: "docs.digitalocean.com, personal access tokens: dop_v1_, doo_v1_ or dor_v1_ and 64 \
                 hexadecimal digits",
        repair: "delete it at cloud.digitalocean.com/account/api/tokens",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["dop_v1_", "doo_v1_", "dor_v1_"],
            body: HEX,
            length: 64..=64,
            test: Test::Random(3.3),
        },
    },
    Shape {
        id: "cloudflare-token",
        what: "a Cloudflare token",
        why: "changes zones, workers and rules of the account",
        source: "developers.cloudflare.com, \"Token formats\": cfk_, cfut_ or cfat_, 40 characters \
                 and a checksum of 8 hexadecimal digits",
        repair: "roll it at dash.cloudflare.com/profile/api-tokens",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["cfut_", "cfat_", "cfk_"],
            body: ALNUM,
            length: 48..=48,
            test: Test::Call(|body| {
                HEX.all(&body[40..]) && mixed(&body[..40]) && random(&body[..40], 4.0)
            }),
        },
    },
    Shape {
        id: "databricks-token",
        what: "a Databricks token",
        why: "acts in the workspace as its owner",
        source: "docs.databricks.com, personal access tokens; as in gitleaks: dapi and 32 \
                 hexadecimal digits",
        repair: "revoke it under \"Access tokens\" of the user's settings",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["dapi"],
            body: HEX,
            length: 32..=32,
            test: Test::Random(2.9),
        },
    },
    Shape {
        id: "terraform-token",
        what: "a token of HCP Terraform",
        why: "reads states, which hold secrets, and starts runs",
        source: "developer.hashicorp.com, API tokens; as in gitleaks: 14 characters, .atlasv1. and \
                 60 to 70 characters",
        repair: "delete it at app.terraform.io/app/settings/tokens",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &[".atlasv1."],
            at: terraform,
        },
    },
    Shape {
        id: "vault-token",
        what: "a HashiCorp Vault token",
        why: "reads the secrets that its policies allow",
        source: "developer.hashicorp.com/vault, \"Tokens\": hvs. (90 characters and more), hvb. \
                 (138 and more)",
        repair: "run `vault token revoke`",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["hvs.", "hvb."],
            body: URL64,
            length: 90..=300,
            test: Test::Call(|body| mixed(body) && random(body, 4.5)),
        },
    },
];

/// The key of Azure's storage emulator. Its documentation publishes the key.
const EMULATOR: &[u8] = b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq";

fn azure_account(view: &TextView<'_>) -> Option<Hit> {
    let from = view.run(view.at, &Alphabet::of("A-Za-z"), 16) + 1;
    let padding = view.run(from, &BASE64, 89);
    let end = view.run(padding, &Alphabet::of("="), 3);
    let text = &view.bytes[from.min(end)..end];
    view.spend(text.len());
    let bytes = STANDARD.decode(text).ok()?;
    (matches!(bytes.len(), 32 | 64)
        && !text.starts_with(EMULATOR)
        && mixed(text)
        && random(text, if bytes.len() == 64 { 4.8 } else { 4.2 }))
    .then(|| Hit::of(view.at..end, &view.bytes[view.at..from]))
}

fn azure_client(view: &TextView<'_>) -> Option<Hit> {
    let start = view.at.checked_sub(3)?;
    let end = view.run(view.at + 3, &AZURE, 35);
    if view.before(start).is_some_and(|byte| AZURE.has(byte))
        || !AZURE.all(&view.bytes[start..view.at])
        || !(31..=34).contains(&(end - view.at - 3))
    {
        return None;
    }
    let text = &view.bytes[start..end];
    view.spend(text.len());
    (mixed(text) && random(text, 3.9)).then(|| Hit::of(start..end, b""))
}

fn azure_annotated(view: &TextView<'_>) -> Option<Hit> {
    let start = view.run_back(view.at, &ALNUM, 53);
    let end = view.run(view.at + 6, &ALNUM, 27);
    if view.at - start != 52 || end - view.at != 32 {
        return None;
    }
    let text = &view.bytes[start..end];
    view.spend(text.len());
    (mixed(text) && random(text, 4.5)).then(|| Hit::of(start..end, b""))
}

fn terraform(view: &TextView<'_>) -> Option<Hit> {
    let start = view.run_back(view.at, &ALNUM, 15);
    let from = view.at + b".atlasv1.".len();
    let end = view.run(from, &URL64, 71);
    if view.at - start != 14 || !(60..=70).contains(&(end - from)) {
        return None;
    }
    let text = &view.bytes[from..end];
    view.spend(text.len());
    (mixed(text) && random(text, 4.4)).then(|| Hit::of(start..end, b""))
}
