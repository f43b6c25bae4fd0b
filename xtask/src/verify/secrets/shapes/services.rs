//! Services for messages, payments and monitoring.

use super::pairs;
use crate::verify::secrets::letters::{ALNUM, Alphabet, DIGIT, HEX, URL64};
use crate::verify::secrets::shape::{Find, Hit, Proof, Shape, Test, mixed, random};
use crate::verify::secrets::view::TextView;

const CAPITAL: Alphabet = Alphabet::of("0-9A-Z");

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "slack-token",
        what: "a Slack token",
        why: "reads and writes the workspace's messages",
        source: "docs.slack.dev, \"Tokens\": xoxb-, xoxp- and the like, numbers of the workspace and \
                 the user, and a random part",
        repair: "call `auth.revoke`, or reinstall the app",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"],
            body: Alphabet::of("0-9A-Za-z-"),
            length: 36..=250,
            test: Test::Call(slack),
        },
    },
    Shape {
        id: "slack-webhook",
        what: "a Slack webhook",
        why: "writes into a channel",
        source: "docs.slack.dev, \"Incoming webhooks\": ids of workspace and hook, and 24 characters",
        repair: "remove it on the app's \"Incoming webhooks\" page",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["hooks.slack.com/services/"],
            at: webhook,
        },
    },
    Shape {
        id: "stripe-key",
        what: "a Stripe key",
        why: "moves money; keys of the test mode do not count",
        source: "docs.stripe.com/keys: sk_live_ or rk_live_, 24 characters or more",
        repair: "roll it at dashboard.stripe.com/apikeys",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["sk_live_", "rk_live_"],
            body: ALNUM,
            length: 24..=247,
            test: Test::Call(|body| mixed(body) && random(body, 3.6)),
        },
    },
    Shape {
        id: "sendgrid-key",
        what: "a SendGrid key",
        why: "sends mail in the name of the account",
        source: "twilio.com/docs/sendgrid, API keys: SG., 22 characters, a dot, 43 characters",
        repair: "delete it at app.sendgrid.com/settings/api_keys",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["SG."],
            body: Alphabet::of("0-9A-Za-z_.-"),
            length: 66..=66,
            test: Test::Call(|body| {
                body[22] == b'.'
                    && URL64.all(&body[..22])
                    && URL64.all(&body[23..])
                    && mixed(body)
                    && random(body, 4.6)
            }),
        },
    },
    Shape {
        id: "twilio-token",
        what: "a Twilio auth token",
        why: "sends messages and places calls on the account",
        source: "twilio.com/docs, account ids: AC and 32 hexadecimal digits, beside a token of 32, \
                 near the word \"twilio\"",
        repair: "rotate it at console.twilio.com",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["twilio", "Twilio", "TWILIO"],
            at: pairs::twilio,
        },
    },
    Shape {
        id: "telegram-token",
        what: "the token of a Telegram bot",
        why: "reads and writes as the bot",
        source: "core.telegram.org/bots, \"Obtain your bot token\": a number, a colon, AA and 33 \
                 characters",
        repair: "send `/revoke` to BotFather",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &[
                "0:AA", "1:AA", "2:AA", "3:AA", "4:AA", "5:AA", "6:AA", "7:AA", "8:AA", "9:AA",
            ],
            at: telegram,
        },
    },
    Shape {
        id: "shopify-token",
        what: "a Shopify token",
        why: "reads and writes orders and customers of the shop",
        source: "shopify.dev, access token types: shpat_, shpca_, shppa_ or shpss_ and 32 \
                 hexadecimal digits",
        repair: "uninstall the app, or rotate its secret",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["shpat_", "shpca_", "shppa_", "shpss_"],
            body: Alphabet::of("0-9A-Fa-f"),
            length: 32..=32,
            test: Test::Random(2.9),
        },
    },
    Shape {
        id: "grafana-token",
        what: "the token of a Grafana service account",
        why: "reads dashboards and their data sources",
        source: "grafana.com/docs, \"Service accounts\": glsa_, 32 characters, an underscore and 8 \
                 hexadecimal digits",
        repair: "delete it on the service account's page",
        proof: Proof::Likeness,
        find: Find::Token {
            prefixes: &["glsa_"],
            body: Alphabet::of("0-9A-Za-z_"),
            length: 41..=41,
            test: Test::Call(|body| {
                body[32] == b'_'
                    && ALNUM.all(&body[..32])
                    && HEX.all(&body[33..])
                    && mixed(&body[..32])
                    && random(&body[..32], 3.9)
            }),
        },
    },
];

/// Groups between hyphens: numbers or ids, then a long random group.
fn slack(body: &[u8]) -> bool {
    let mut groups: Vec<&[u8]> = body.split(|byte| *byte == b'-').collect();
    let Some(last) = groups.pop() else {
        return false;
    };
    (1..=4).contains(&groups.len())
        && groups
            .iter()
            .all(|group| (1..=14).contains(&group.len()) && CAPITAL.all(group))
        && groups.iter().any(|group| group.len() >= 8)
        && last.len() >= 20
        && random(last, 3.0)
}

fn webhook(view: &TextView<'_>) -> Option<Hit> {
    let from = view.at + b"hooks.slack.com/services/".len();
    let end = view.run(from, &Alphabet::of("0-9A-Za-z/"), 80);
    let parts: Vec<&[u8]> = view.bytes[from..end].split(|byte| *byte == b'/').collect();
    let [team, hook, secret] = parts[..] else {
        return None;
    };
    let id = |id: &[u8], first: u8| {
        id.first() == Some(&first) && (8..=14).contains(&id.len()) && CAPITAL.all(id)
    };
    (id(team, b'T') && id(hook, b'B') && secret.len() == 24 && mixed(secret) && random(secret, 3.6))
        .then(|| Hit::of(view.at..end, b"hooks.slack.com/services/"))
}

fn telegram(view: &TextView<'_>) -> Option<Hit> {
    let colon = view.at + 1;
    let start = view.run_back(colon, &DIGIT, 11);
    let end = view.run(colon + 1, &URL64, 36);
    let body = &view.bytes[colon + 1..end];
    view.spend(body.len());
    // In addresses, `bot` stands before the number.
    let bot = view.bytes[..start].ends_with(b"bot");
    ((8..=10).contains(&(colon - start))
        && (bot || view.word_begins(start))
        && body.len() == 35
        && mixed(body)
        && random(&body[2..], 3.9))
    .then(|| Hit::of(start..end, b""))
}
