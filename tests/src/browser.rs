//! A browser for tests: headless Chromium behind chromedriver, spoken to in WebDriver's JSON.
//!
//! ```no_run
//! # use sordino_tests::browser::{Browser, Scheme};
//! let Some(mut browser) = Browser::find() else { return };
//! browser.view(390, 844);
//! browser.scheme(Scheme::Dark);
//! browser.open_file("report.html".as_ref());
//! assert_eq!(browser.out_of_place(), Vec::<String>::new());
//! browser.screenshot("report.png".as_ref());
//! assert_eq!(browser.errors(), Vec::<String>::new());
//! ```
//!
//! Each [`Browser`] is a session with processes and a profile of its own; both are gone when it is dropped. What goes wrong between
//! test and browser panics with the driver's sentence: a test has nothing better to do with it.

mod wire;

use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Scheme {
    /// As CSS calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A browser with one window.
pub struct Browser {
    port: u16,
    // `/session/ID`.
    session: String,
    chromium: Option<u64>,
    errors: Vec<String>,
    // The last to go: the browser writes into its profile until it ends.
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// A new browser. Where there is none to be had the test is skipped, which [`crate::skipped`] tells; with
    /// `SORDINO_NEED_BROWSER=1` it fails.
    ///
    /// # Panics
    /// Where a browser is needed and not there.
    pub fn find() -> Option<Self> {
        let why = match Self::start() {
            Ok(browser) => return Some(browser),
            Err(why) => why,
        };
        let needed = std::env::var_os("SORDINO_NEED_BROWSER").is_some_and(|need| need != "0");
        assert!(!needed, "SORDINO_NEED_BROWSER is set and there is no browser: {why}");
        crate::skipped(&crate::test_name(), &why);
        None
    }

    fn start() -> Result<Self, String> {
        let driver = Driver::start()?;
        let profile = tempfile::tempdir().map_err(|fault| format!("no folder for a profile: {fault}"))?;
        let mut args: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let mut options = json!({ "args": args });
        if let Some(binary) = std::env::var_os("SORDINO_CHROMIUM") {
            options["binary"] = json!(binary.to_string_lossy());
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = wire::ask(driver.port, "POST", "/session", Some(&wanted))
            .map_err(|error| format!("chromedriver starts no Chromium ({error}): install chromium"))?;
        let id = made["sessionId"].as_str().ok_or("chromedriver gave no session")?;
        let browser = Self {
            port: driver.port,
            session: format!("/session/{id}"),
            chromium: made["capabilities"]["goog:processID"].as_u64(),
            errors: Vec::new(),
            _driver: driver,
            _profile: profile,
        };
        browser.view(1280, 900);
        Ok(browser)
    }

    /// Makes the window this large, in CSS pixels.
    pub fn view(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Says what the person prefers.
    pub fn scheme(&self, scheme: Scheme) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme.name() });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// Opens an address, and waits until it has loaded.
    pub fn open(&mut self, url: &str) {
        self.read_errors();
        self.ask("POST", "/url", Some(&json!({ "url": url })));
    }

    /// Opens a file.
    pub fn open_file(&mut self, path: &Path) {
        let path = path.canonicalize().unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        let text = path.display().to_string().replace('%', "%25").replace('#', "%23").replace('?', "%3F");
        self.open(&format!("file://{text}"));
    }

    /// Runs a script's body; what it `return`s, a promise's value where it returns one.
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", Some(&json!({ "script": script, "args": [] })))
    }

    /// What a script returns, as text.
    pub fn text_of(&self, script: &str) -> String {
        match self.run(script) {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// The text that a person sees in the first element of this selector; empty where there is none.
    pub fn seen(&self, css: &str) -> String {
        self.text_of(&format!("return document.querySelector({})?.innerText ?? ''", json!(css)))
    }

    /// Clicks as a person would: the element must be in sight, and nothing on top of it.
    pub fn click(&self, css: &str) {
        self.act_on("css selector", css, "click", &json!({}));
    }

    /// Clicks the first button whose whole text is this.
    pub fn press(&self, text: &str) {
        self.act_on("xpath", &format!("//button[normalize-space(.)=\"{text}\"]"), "click", &json!({}));
    }

    /// Types into a field, in place of what is there.
    pub fn fill(&self, css: &str, text: &str) {
        self.act_on("css selector", css, "clear", &json!({}));
        self.type_into(css, text);
    }

    /// Types into a field, after what is there.
    pub fn type_into(&self, css: &str, text: &str) {
        self.act_on("css selector", css, "value", &json!({ "text": text }));
    }

    // Finds an element and does something to it. A page that is redrawn between the two has another element in its place,
    // which is looked for again, as a person would.
    fn act_on(&self, using: &str, value: &str, act: &str, body: &Value) {
        for tries_left in (0..REDRAWN).rev() {
            let element = self.element(using, value);
            let path = format!("{}/element/{element}/{act}", self.session);
            match wire::ask(self.port, "POST", &path, Some(body)) {
                Err(error) if tries_left > 0 && error.to_string().contains("stale element") => {}
                Err(error) => panic!("the browser at {act} {value}: {error}"),
                Ok(_) => return,
            }
        }
    }

    fn element(&self, using: &str, value: &str) -> String {
        let found = self.ask("POST", "/element", Some(&json!({ "using": using, "value": value })));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{value}: no element")).to_owned()
    }

    /// Waits until a script returns something true, and gives it.
    ///
    /// # Panics
    /// Where it does not come to pass within half a minute: with what was waited for, and what the page shows.
    pub fn wait(&mut self, what: &str, script: &str) -> Value {
        self.wait_for(what, |browser| Some(browser.run(script)).filter(is_true))
    }

    /// Waits until `look` gives something.
    ///
    /// # Panics
    /// As [`Self::wait`].
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + LONGEST_WAIT;
        loop {
            if let Some(seen) = look(self) {
                return seen;
            }
            assert!(Instant::now() < end, "{what}: this did not come to pass; the page shows\n{}", self.seen("body"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes the whole page, also what is below the window's end, as a PNG.
    pub fn screenshot(&self, path: &Path) {
        let shot = self.devtools("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let bytes = wire::from_base64(shot["data"].as_str().expect("a picture"));
        std::fs::write(path, bytes).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    }

    /// What went wrong in the page since the last time this was asked: errors in the console (also resources that could not be
    /// loaded, and what the content security policy refused), uncaught exceptions, promises that nobody caught.
    pub fn errors(&mut self) -> Vec<String> {
        self.read_errors();
        std::mem::take(&mut self.errors)
    }

    fn read_errors(&mut self) {
        let log = self.ask("POST", "/se/log", Some(&json!({ "type": "browser" })));
        let severe = log.as_array().into_iter().flatten().filter(|entry| entry["level"] == "SEVERE");
        self.errors.extend(severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()));
    }

    /// What does not fit: a page that is wider than its window, elements that stand out of it or whose content is cut off. Empty where
    /// everything does. What scrolls within itself is let be.
    pub fn out_of_place(&self) -> Vec<String> {
        self.sentences(include_str!("browser/out_of_place.js"))
    }

    /// What is hard to read: text too faint against what is behind it.
    pub fn faint(&self) -> Vec<String> {
        self.sentences(include_str!("browser/contrast.js"))
    }

    /// What cannot be made out by somebody who does not see the page: fields without labels, pictures without descriptions, headings that
    /// skip a level.
    pub fn unnamed(&self) -> Vec<String> {
        self.sentences(include_str!("browser/named.js"))
    }

    fn sentences(&self, script: &str) -> Vec<String> {
        let found = self.run(script);
        found.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Sends a command of Chromium's own protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", Some(&json!({ "cmd": command, "params": parameters })))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        wire::ask(self.port, method, &format!("{}{path}", self.session), body).unwrap_or_else(|error| {
            let asked = body.map(Value::to_string).unwrap_or_default();
            panic!("the browser at {path} {}: {error}", asked.chars().take(200).collect::<String>())
        })
    }
}

// How often a page may be redrawn under somebody's hand.
const REDRAWN: usize = 10;

impl Drop for Browser {
    fn drop(&mut self) {
        let closed = wire::ask(self.port, "DELETE", &self.session, None);
        if let (Err(_), Some(process)) = (closed, self.chromium) {
            kill(&process.to_string());
        }
    }
}

/// A running chromedriver.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start() -> Result<Self, String> {
        let program = program()?;
        let mut process = Command::new(&program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|fault| format!("{}: {fault}", program.display()))?;
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let told = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok());
        // What it says later is read and forgotten, or it would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let mut driver = Self { process, port: 0 };
        driver.port = told.ok_or_else(|| format!("{} told no port", program.display()))?;
        Ok(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Its children are in its group, unless they have left it.
        kill(&format!("-{}", self.process.id()));
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn kill(process: &str) {
    let _ = Command::new("kill").args(["-9", "--", process]).stderr(Stdio::null()).status();
}

fn program() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SORDINO_CHROMEDRIVER") {
        return Ok(named.into());
    }
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/lib/chromium".into()]);
    folders
        .map(|folder| folder.join("chromedriver"))
        .find(|program| program.is_file())
        .ok_or_else(|| "no chromedriver: install chromium-driver, or name it in SORDINO_CHROMEDRIVER".into())
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

const ARGUMENTS: [&str; 11] = [
    "--headless",
    // Tests run as root in containers, where there is no other way.
    "--no-sandbox",
    "--disable-gpu",
    // Containers give little shared memory.
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];
// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const LONGEST_WAIT: Duration = Duration::from_secs(30);
