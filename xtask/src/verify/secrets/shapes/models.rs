//! Makers of language models, and Dify itself.

use crate::verify::secrets::letters::{ALNUM, Alphabet, HEX, URL64};
use crate::verify::secrets::shape::{Find, Hit, Proof, Shape, Test, mixed, random};
use crate::verify::secrets::view::TextView;

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "openai-key",
        what: "an OpenAI key",
        why: "spends money, and reads what the project stored",
        source: "as in gitleaks and trufflehog: sk-, T3BlbkFJ (\"OpenAI\" in base64) in the middle, \
                 20 characters or more on both sides",
        repair: "revoke it at platform.openai.com/api-keys",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["T3BlbkFJ"],
            at: openai,
        },
    },
    Shape {
        id: "anthropic-key",
        what: "an Anthropic key",
        why: "spends money as its workspace",
        source: "as in gitleaks and trufflehog: sk-ant-api03- or sk-ant-admin01-, 93 characters, AA",
        repair: "delete it at console.anthropic.com/settings/keys",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["sk-ant-api03-", "sk-ant-admin01-", "sk-ant-oat01-"],
            body: URL64,
            length: 95..=95,
            test: Test::Call(|body| body.ends_with(b"AA") && mixed(body) && random(body, 4.8)),
        },
    },
    Shape {
        id: "huggingface-token",
        what: "a Hugging Face token",
        why: "reads private models, or writes them",
        source: "huggingface.co/docs, \"User access tokens\": hf_ and 34 letters",
        repair: "invalidate it at huggingface.co/settings/tokens",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["hf_", "api_org_"],
            at: hugging_face,
        },
    },
    Shape {
        id: "groq-key",
        what: "a Groq key",
        why: "spends money as its organisation",
        source: "as in trufflehog: gsk_ and 52 characters",
        repair: "delete it at console.groq.com/keys",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["gsk_"],
            body: ALNUM,
            length: 52..=52,
            test: Test::Call(|body| mixed(body) && random(body, 4.4)),
        },
    },
    Shape {
        id: "langsmith-key",
        what: "a LangSmith key",
        why: "reads traces, which hold what users typed",
        source: "docs.smith.langchain.com, \"API keys\": lsv2_pt_ or lsv2_sk_, 32 hexadecimal digits, \
                 an underscore, 10 more",
        repair: "delete it on the settings page of LangSmith",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["lsv2_pt_", "lsv2_sk_"],
            body: Alphabet::of("0-9a-f_"),
            length: 43..=43,
            test: Test::Call(|body| {
                body[32] == b'_'
                    && HEX.all(&body[..32])
                    && HEX.all(&body[33..])
                    && random(body, 3.0)
            }),
        },
    },
    Shape {
        id: "langfuse-key",
        what: "a Langfuse secret key",
        why: "reads and writes traces, which hold what users typed",
        source: "langfuse.com/docs, \"API keys\": sk-lf- and a UUID",
        repair: "delete it on the project's page of Langfuse",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["sk-lf-"],
            body: Alphabet::of("0-9a-f-"),
            length: 36..=36,
            test: Test::Call(uuid),
        },
    },
    Shape {
        id: "dify-key",
        what: "a key of a Dify application or knowledge base",
        why: "uses the application, or reads and writes the knowledge base",
        source: "langgenius/dify, ApiToken.generate_api_key: app- or dataset-, and 24 characters",
        repair: "delete it on the \"API access\" page of the application or knowledge base",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["app-", "dataset-"],
            body: ALNUM,
            length: 24..=24,
            test: Test::Call(|body| mixed(body) && random(body, 3.6) && shuffled(body)),
        },
    },
];

/// `sk-proj-…T3BlbkFJ…` and the older `sk-…T3BlbkFJ…`.
fn openai(view: &TextView<'_>) -> Option<Hit> {
    let start = view.run_back(view.at, &URL64, 200);
    let middle = view.at + b"T3BlbkFJ".len();
    let head = &view.bytes[start..view.at];
    let end = view.run(middle, &URL64, 200);
    let tail = &view.bytes[middle..end];
    let prefix = ["sk-proj-", "sk-svcacct-", "sk-service-", "sk-admin-", "sk-"]
        .into_iter()
        .find(|prefix| head.starts_with(prefix.as_bytes()))?;
    let body = &head[prefix.len()..];
    let fits = if prefix == "sk-" {
        body.len() == 20 && tail.len() == 20 && ALNUM.all(body) && ALNUM.all(tail)
    } else {
        (20..=100).contains(&body.len()) && (20..=100).contains(&tail.len())
    };
    view.spend(body.len() + tail.len());
    (fits && random(body, 3.2) && random(tail, 3.2)).then(|| Hit::of(start..end, prefix.as_bytes()))
}

/// Mostly letters, with many of both cases: names in code have few capitals. After a slash it is
/// the name of a user's model, which people also write with `hf_`.
fn hugging_face(view: &TextView<'_>) -> Option<Hit> {
    let prefix: &[u8] = match view.byte(view.at) {
        Some(b'h') => b"hf_",
        _ => b"api_org_",
    };
    if !view.word_begins(view.at) || view.before(view.at) == Some(b'/') {
        return None;
    }
    let from = view.at + prefix.len();
    let end = view.run(from, &ALNUM, 35);
    let body = &view.bytes[from..end];
    view.spend(body.len());
    let is_it = body.len() == 34 && letters_of_both_cases(body);
    is_it.then(|| Hit::of(view.at..end, prefix))
}

fn letters_of_both_cases(body: &[u8]) -> bool {
    let capitals = body.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let small = body.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    capitals >= 7 && small >= 7 && capitals + small >= 30 && random(body, 3.9)
}

/// Whether the kinds of characters alternate as often as in random text. Names in code have long
/// runs of small letters.
fn shuffled(body: &[u8]) -> bool {
    let kind = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    let changes = body
        .windows(2)
        .filter(|pair| kind(pair[0]) != kind(pair[1]))
        .count();
    changes * 3 >= body.len()
}

fn uuid(body: &[u8]) -> bool {
    body.iter()
        .enumerate()
        .all(|(at, byte)| (*byte == b'-') == matches!(at, 8 | 13 | 18 | 23))
        && random(body, 3.0)
}
