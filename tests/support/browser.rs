//! A headless Chromium, driven over `WebDriver` (w3.org/TR/webdriver2).
//!
//! Debian's packages `chromium` and `chromium-driver` give both programs. `cargo xtask test`
//! installs them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything in the browser may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The name of an element in `WebDriver`'s answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one empty page, a profile of its own, and no network beyond this machine.
pub struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    profile: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "chromedriver: {error}: `apt-get install chromium chromium-driver` installs it"
                )
            });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver says on which port it listens");
        // It stops if nobody reads on.
        std::thread::spawn(move || lines.for_each(drop));
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .build();
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            agent: config.into(),
            profile,
        };
        let profile = browser.profile.path().join("profile");
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1280,900",
                format!("--user-data-dir={}", profile.display()),
            ] },
        } } });
        let session = browser.post("", &wanted);
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Asks the driver. A fault of the page or of the driver fails the test.
    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let response = self
            .agent
            .post(format!("{}{path}", self.session))
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap();
        let status = response.status();
        let text = response.into_body().read_to_string().unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].take()
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body)
    }

    /// Opens a file.
    #[track_caller]
    pub fn open(&self, file: &Path) {
        self.post(
            "/url",
            &json!({ "url": format!("file://{}", file.display()) }),
        );
    }

    /// Runs a script, which returns something.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script returns something true.
    #[track_caller]
    pub fn wait_for(&self, script: &str) -> Value {
        let start = Instant::now();
        loop {
            let answer = self.run(script);
            if !matches!(answer, Value::Null | Value::Bool(false)) {
                return answer;
            }
            assert!(start.elapsed() < LIMIT, "never true: {script}");
        }
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &wanted);
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks on an element, as a mouse does: it must be there to be seen.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses a key wherever the focus is: a letter, or a key of `WebDriver` such as `\u{E004}` (Tab).
    #[track_caller]
    pub fn press(&self, key: char) {
        let actions = json!([
            { "type": "keyDown", "value": key },
            { "type": "keyUp", "value": key },
        ]);
        let all = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.post("/actions", &all);
    }

    /// Makes the page this wide.
    #[track_caller]
    pub fn resize(&self, width: usize) {
        let size =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Lets the page see a user who wants it dark, or light.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    /// What the page printed on its console since the last time, and the addresses that a file
    /// asked for, its own among them.
    #[track_caller]
    pub fn console_and_requests(&self) -> (Vec<String>, Vec<String>) {
        let log = |kind: &str| self.post("/se/log", &json!({ "type": kind }));
        let console = log("browser");
        let console = console.as_array().unwrap().iter();
        let console = console.map(|entry| entry["message"].to_string());
        let events = log("performance");
        let events = events.as_array().unwrap().iter();
        let requests = events.filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).unwrap();
            let message = &message["message"];
            // The browser's own first page asks for things of its own.
            let asks = message["params"]["documentURL"].as_str()?;
            let is_request =
                message["method"] == "Network.requestWillBeSent" && asks.starts_with("file:");
            let url = message["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        });
        (console.collect(), requests.collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
