//! Chromium without a window, which is told what to do over a pipe (the DevTools protocol: JSON, each
//! message with a zero behind it).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::PATIENCE;

pub struct Browser {
    child: Child,
    pipe: ChildStdin,
    messages: Receiver<Value>,
    /// What is said to the one page that is open.
    page: Option<String>,
    next: u64,
    /// What the console tells of that should not happen: exceptions, violations of a policy.
    pub complaints: Vec<String>,
    /// What was asked in a dialog, and answered with yes.
    pub dialogs: Vec<String>,
    profile: PathBuf,
}

impl Browser {
    /// With a profile of its own beneath `directory`, where downloads go, too.
    pub fn start(directory: &Path) -> Browser {
        let profile = directory.join("profile");
        // It speaks over descriptors 3 and 4.
        let shell = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null";
        let mut child = Command::new("sh")
            .args(["-c", shell, "chromium", "--remote-debugging-pipe", "--headless"])
            .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--hide-scrollbars", "--ignore-certificate-errors"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let pipe = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("it is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (complaints, dialogs) = (Vec::new(), Vec::new());
        let (page, next) = (None, 0);
        let mut browser =
            Browser { child, pipe, messages, page, next, complaints, dialogs, profile };
        let downloads = json!({ "behavior": "allow", "downloadPath": directory });
        browser.call("Browser.setDownloadBehavior", downloads);
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target);
        browser.page = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// A command, and what comes of it.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, or the browser's error.
    fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        loop {
            let message = self.messages.recv_timeout(3 * PATIENCE).expect("chromium answers");
            if message["id"] != id {
                self.hear(&message);
                continue;
            }
            return match &message["error"] {
                Value::Null => Ok(message["result"].clone()),
                error => Err(error.clone()),
            };
        }
    }

    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if let Some(page) = &self.page {
            message["sessionId"] = page.as_str().into();
        }
        self.pipe.write_all(format!("{message}\0").as_bytes()).expect("chromium is there");
        self.next
    }

    fn hear(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Page.javascriptDialogOpening") => {
                self.dialogs.push(params["message"].as_str().unwrap_or_default().into());
                self.send("Page.handleJavaScriptDialog", json!({ "accept": true }));
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(params.to_string()),
            // Refusals and broken connections are told of, too: they are wanted here.
            Some("Log.entryAdded") if params["entry"]["source"] != "network" => {
                self.complaints.push(params["entry"]["text"].to_string());
            }
            _ => {}
        }
    }

    /// A window of so many pixels: that of a phone if it is narrow.
    pub fn look(&mut self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.until("document.readyState === 'complete'");
    }

    /// What an expression comes to.
    pub fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same, or the browser's error: that one page gives way to another, say.
    fn try_eval(&mut self, expression: &str) -> Result<Value, Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let outcome = self.try_call("Runtime.evaluate", params)?;
        assert!(outcome["exceptionDetails"].is_null(), "{expression}: {outcome}");
        Ok(outcome["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        self.until_within(expression, PATIENCE);
    }

    #[track_caller]
    pub fn until_within(&mut self, expression: &str, patience: Duration) {
        let since = Instant::now();
        // Between two pages nothing is true.
        while self.try_eval(&format!("!!({expression})")) != Ok(true.into()) {
            if since.elapsed() > patience {
                panic!("never: {expression}; {}", self.eval("document.body.innerText"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Clicks the first element that `selector` finds.
    pub fn click(&mut self, selector: &str) {
        // A dialog would hold the expression until it is answered.
        self.eval(&format!("void setTimeout(() => document.querySelector({selector:?}).click())"));
    }

    /// Clicks the first button with these words.
    #[track_caller]
    pub fn press(&mut self, words: &str) {
        let buttons = "[...document.querySelectorAll('button')]";
        let button = format!("{buttons}.find((button) => button.textContent === {words:?})");
        self.until(&button);
        self.eval(&format!("void setTimeout(() => {button}.click())"));
    }

    /// Chooses files in an input.
    pub fn choose(&mut self, selector: &str, files: &[&Path]) {
        let expression = format!("document.querySelector({selector:?})");
        let input = self.call("Runtime.evaluate", json!({ "expression": expression }));
        let object = &input["result"]["objectId"];
        self.call("DOM.setFileInputFiles", json!({ "files": files, "objectId": object }));
    }

    /// A picture of what is in the window.
    pub fn picture(&mut self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        BASE64_STANDARD.decode(picture["data"].as_str().expect("it has data")).expect("Base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its helpers may still write there.
        for _ in 0..100 {
            if fs::remove_dir_all(&self.profile).is_ok() || !self.profile.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
