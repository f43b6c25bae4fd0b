//! Stacks that each fail in one way, and the first screen of the message.

use xtask::verify::stack::StackOutcome;

use super::{left, notes, side_by_side, stack, tried};
use crate::host;

/// One way to fail: the compose file, the probes, and the texts that the message must have.
struct Case {
    name: &'static str,
    compose: &'static str,
    rest: &'static str,
    said: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "a wrong port",
        compose: "services:\n  web: {}\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"http\"\nport = 8080\ntimeout = 2\n",
        said: &[
            "`web` fails its http probe: nothing answers at port 8080 of `web`; its program listens on port 80",
        ],
    },
    Case {
        name: "a port of the loopback only",
        compose: "services:\n  web:\n    command: [httpd, -f, -p, \"127.0.0.1:80\"]\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"tcp\"\nport = 80\ntimeout = 2\n",
        said: &["its program listens on 127.0.0.1 only, which other containers cannot reach"],
    },
    Case {
        name: "a wrong answer",
        compose: "services:\n  web: {}\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"http\"\nport = 80\npath = \"/none\"\ntimeout = 2\n",
        said: &["GET /none at port 80: status 404, not 200"],
    },
    Case {
        name: "a crash at start",
        compose: "services:\n  api:\n    command: [sh, -c, \"echo cannot open the database; exit 3\"]\n  web:\n    depends_on: [api]\n",
        rest: "",
        said: &[
            "the stack failed: `api` ended with exit code 3",
            "needed by: web",
            "| cannot open the database",
        ],
    },
    Case {
        name: "a program that is not there",
        compose: "services:\n  api:\n    command: [gunicorn]\n",
        rest: "",
        said: &["the stack failed: `api` cannot be started", "gunicorn"],
    },
    Case {
        name: "a crash loop",
        compose: "services:\n  api:\n    restart: always\n    command: [sh, -c, \"echo no such table; exit 1\"]\n",
        rest: "",
        said: &[
            "`api` crashes again and again: 3 times so far, the last time with exit code 1",
            "| no such table",
        ],
    },
    Case {
        name: "a crash after health",
        compose: "services:\n  api:\n    command: [sh, -c, \"sleep 3; echo out of cheese; exit 7\"]\n    healthcheck: {test: [CMD, 'true'], interval: 1s}\n",
        rest: "watch = 20\n",
        said: &[
            "`api` ended with exit code 7 after it had been ready",
            "| out of cheese",
        ],
    },
    Case {
        name: "a job that fails",
        compose: "services:\n  init:\n    command: [sh, -c, \"echo chown is not permitted; exit 4\"]\n  api:\n    depends_on: {init: {condition: service_completed_successfully}}\n",
        rest: "",
        said: &[
            "the stack failed: `init` ended with exit code 4",
            "| chown is not permitted",
            "api: not started, as it waits for init",
        ],
    },
    Case {
        name: "health that never comes",
        compose: "services:\n  db:\n    healthcheck: {test: [CMD, sh, -c, 'echo no rows; exit 5'], interval: 1s, retries: 2}\n  api:\n    depends_on: {db: {condition: service_healthy}}\n",
        rest: "",
        said: &[
            "`db` never became healthy: its health check ended with exit code 5 and said: no rows",
            "health: unhealthy",
        ],
    },
    Case {
        name: "a job that never ends",
        compose: "services:\n  init:\n    command: [sleep, '600']\n  api:\n    depends_on: {init: {condition: service_completed_successfully}}\n",
        rest: "timeout = 2\n",
        said: &["`init` has not ended after 2 s, and others wait for its end"],
    },
    Case {
        name: "what is needed fails after who needs it",
        compose: "services:\n  api:\n    command: [sh, -c, 'echo connection refused by db; exit 1']\n    depends_on: [db]\n  db:\n    command: [sh, -c, 'sleep 1; echo disk full; exit 2']\n",
        rest: "",
        said: &[
            "the stack failed: `db` ended with exit code 2",
            "| disk full",
            "also failed:\n  `api` ended with exit code 1",
        ],
    },
    Case {
        name: "a command that fails",
        compose: "services:\n  web: {}\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", \"echo NOAUTH; exit 9\"]\ntimeout = 4\n",
        said: &["ended with exit code 9, not 0, and said: NOAUTH"],
    },
    Case {
        name: "a log with what must not be there",
        compose: "services:\n  web:\n    command: [sh, -c, 'echo Traceback of it; exec httpd -f']\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"log\"\nnever = \"Traceback\"\n",
        said: &["its log contains \"Traceback\": Traceback of it"],
    },
    Case {
        name: "an address that is reached",
        compose: "services:\n  web: {}\n  sandbox:\n    command: [sleep, '600']\n",
        rest: "[[stack.probe]]\nservice = \"sandbox\"\nkind = \"refused\"\naddress = \"web:80\"\n",
        said: &["`sandbox` fails its refused probe: it reaches web:80"],
    },
    Case {
        name: "a proxy that lets everything through",
        compose: "services:\n  proxy:\n    command: [nc, -ll, -p, '3128', -e, sh, -c, 'read a; echo HTTP/1.1 502 Bad; echo']\n  web: {}\n",
        rest: "[[stack.probe]]\nservice = \"web\"\nkind = \"refused\"\naddress = \"169.254.169.254:80\"\nproxy = \"proxy:3128\"\n",
        said: &["the proxy proxy:3128 lets 169.254.169.254:80 through (502: it tried to reach it)"],
    },
    Case {
        name: "a bound folder that root owns",
        compose: "services:\n  api:\n    user: '1001'\n    volumes: ['./storage:/owned']\n",
        rest: "[[stack.probe]]\nservice = \"api\"\nkind = \"file\"\npath = \"/owned\"\ntimeout = 1\n",
        said: &[
            "/owned belongs to 0:0 with mode 0755, and the service runs as uid 1001, which may not write there",
        ],
    },
    Case {
        name: "a volume of an earlier release",
        compose: "services:\n  api:\n    user: '1001:1001'\n    command: [sleep, '600']\n    volumes: ['storage:/owned']\nvolumes: {storage: {}}\n",
        rest: "[[stack.probe]]\nservice = \"api\"\nkind = \"file\"\npath = \"/owned\"\nroot-owned = true\n",
        said: &[
            "on a volume that root owns, as an earlier release left it, `api` fails: /owned belongs to 0:0",
        ],
    },
    Case {
        name: "a service that must be root",
        compose: "services:\n  api:\n    command: [sh, -c, 'echo 1 > /owned/pid || exit 1; exec sleep 600']\n",
        rest: "[[stack.probe]]\nservice = \"api\"\nkind = \"uid\"\n",
        said: &[
            "with gid 0 and a read-only root: it ended with exit code 1",
            "/owned/pid: Read-only file system",
            "when run as usual, it writes to /owned",
        ],
    },
];

#[test]
fn the_first_screen_tells_the_true_cause_of_every_failure() {
    let host = host();
    let case = |case: &'static Case| {
        let host = host.clone();
        let job = move || {
            eprintln!("{}", case.name);
            let project = stack(&host, case.compose, case.rest);
            tried(&project)
                .ends(StackOutcome::Failed)
                .first_screen_says(case.said);
            assert_eq!(left(&host, &project), "", "{}", case.name);
            assert_eq!(notes(&project), [""; 0], "{}", case.name);
        };
        Box::new(job) as Box<dyn FnOnce() + Send>
    };
    side_by_side(CASES.iter().map(case).collect());
}

#[test]
fn what_cannot_be_tried_is_not_checked_and_never_passed() {
    let host = host();
    let compose = "services:\n  web: {}\n";
    let probes = "watch = 0\n[[stack.probe]]\nservice = \"web\"\nkind = \"refused\"\naddress = \"nobody.invalid:80\"\n";
    let project = stack(&host, compose, probes);
    tried(&project)
        .ends(StackOutcome::NotChecked)
        .says("the name nobody.invalid");
}
