//! A real Chromium, driven by the W3C's WebDriver protocol: <https://www.w3.org/TR/webdriver2/>.
//!
//! Debian's `chromium` and `chromium-driver`, installed by apt where that is allowed.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::error::Error;
use crate::parts::apt::Packages;
use crate::process::{Daemon, owned_command};
use crate::run::{Port, new_folder};
use crate::s3::http;

const DRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";
const PACKAGES: Packages = Packages {
    purpose: "looking at the page in a real browser",
    packages: &["chromium", "chromium-driver", "fonts-dejavu-core"],
    programs: &[DRIVER, CHROMIUM],
};
const START_LIMIT: Duration = Duration::from_secs(60);

/// The key by which WebDriver names elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Tab key, as WebDriver spells it.
const TAB: &str = "\u{e004}";

/// Installs Chromium and its driver where they are not.
///
/// # Errors
/// When they cannot be had.
pub fn install() -> Result<(), Error> {
    PACKAGES.ensure()
}

/// How a browser is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether the person prefers dark colours.
    pub dark: bool,
    /// Whether scripts of pages are not run.
    pub without_scripts: bool,
}

/// A browser with one window. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    _driver: Daemon,
    _profile: TempDir,
    _port: Port,
    address: String,
    session: String,
}

/// An element of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(String);

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// When it cannot be had or does not come up.
    pub fn start(options: Options) -> Result<Self, Error> {
        install()?;
        let folder = new_folder("browser")?;
        let port = Port::pick()?;
        let address = format!("127.0.0.1:{}", port.number());
        let mut command = owned_command(None, DRIVER)?;
        command.arg(format!("--port={}", port.number()));
        let mut driver = Daemon::spawn("chromedriver", command, &folder.join("log"))?;
        driver.wait_until(START_LIMIT, || std::net::TcpStream::connect(&address).is_ok())?;
        let profile =
            tempfile::tempdir().map_err(Error::io("cannot create a folder for the browser"))?;
        let mut browser = Self {
            _driver: driver,
            _port: port,
            address,
            session: String::new(),
            _profile: profile,
        };
        browser.session = browser.begin(options)?;
        if options.dark {
            let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
            let body = json!({"cmd": "Emulation.setEmulatedMedia", "params": dark});
            browser.post("/goog/cdp/execute", &body)?;
        }
        Ok(browser)
    }

    fn begin(&self, options: Options) -> Result<String, Error> {
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let mut arguments: Vec<&str> = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1100,900",
        ];
        arguments.push(&profile);
        // 2: scripts are blocked, as by the browser's own settings.
        let scripts = if options.without_scripts { 2 } else { 1 };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": CHROMIUM,
                "args": arguments,
                "prefs": {"profile.managed_default_content_settings.javascript": scripts},
            },
        }}});
        let answer = self.ask("POST", "/session", Some(&capabilities))?;
        let session = answer["sessionId"].as_str().unwrap_or_default();
        Ok(format!("/session/{session}"))
    }

    /// Goes to an address and waits until the page is there.
    ///
    /// # Errors
    /// When it does not come.
    pub fn go(&self, url: &str) -> Result<(), Error> {
        self.post("/url", &json!({ "url": url })).map(drop)
    }

    /// The address of the page.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn url(&self) -> Result<String, Error> {
        self.get("/url").map(text)
    }

    /// The page's title.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn title(&self) -> Result<String, Error> {
        self.get("/title").map(text)
    }

    /// Elements by a CSS selector, in the order of the page.
    ///
    /// # Errors
    /// When the selector is none.
    pub fn all(&self, css: &str) -> Result<Vec<Element>, Error> {
        let found = self.post("/elements", &json!({"using": "css selector", "value": css}))?;
        let elements = found.as_array().cloned().unwrap_or_default();
        Ok(elements.iter().map(element).collect())
    }

    /// The first element by a CSS selector.
    ///
    /// # Errors
    /// When there is none.
    pub fn one(&self, css: &str) -> Result<Element, Error> {
        let found = self.post("/element", &json!({"using": "css selector", "value": css}))?;
        Ok(element(&found))
    }

    /// The element that has the keyboard.
    ///
    /// # Errors
    /// When there is none.
    pub fn focused(&self) -> Result<Element, Error> {
        self.get("/element/active").map(|found| element(&found))
    }

    /// What an element says, as far as it can be seen.
    ///
    /// # Errors
    /// When it is gone.
    pub fn text(&self, element: &Element) -> Result<String, Error> {
        self.of(element, "text")
    }

    /// Whether an element can be seen.
    ///
    /// # Errors
    /// When it is gone.
    pub fn is_shown(&self, element: &Element) -> Result<bool, Error> {
        Ok(self.get(&format!("/element/{}/displayed", element.0))? == Value::Bool(true))
    }

    /// The name of an element's tag.
    ///
    /// # Errors
    /// When it is gone.
    pub fn tag(&self, element: &Element) -> Result<String, Error> {
        self.of(element, "name")
    }

    /// What a screen reader calls an element.
    ///
    /// # Errors
    /// When it is gone.
    pub fn label(&self, element: &Element) -> Result<String, Error> {
        self.of(element, "computedlabel")
    }

    /// What a screen reader takes an element for.
    ///
    /// # Errors
    /// When it is gone.
    pub fn role(&self, element: &Element) -> Result<String, Error> {
        self.of(element, "computedrole")
    }

    /// An attribute of an element, empty when it has none.
    ///
    /// # Errors
    /// When it is gone.
    pub fn attribute(&self, element: &Element, name: &str) -> Result<String, Error> {
        self.of(element, &format!("attribute/{name}"))
    }

    /// A computed property of an element's style.
    ///
    /// # Errors
    /// When it is gone.
    pub fn style(&self, element: &Element, property: &str) -> Result<String, Error> {
        self.of(element, &format!("css/{property}"))
    }

    /// Clicks an element.
    ///
    /// # Errors
    /// When it cannot be clicked: gone, hidden, covered.
    pub fn click(&self, element: &Element) -> Result<(), Error> {
        self.post(&format!("/element/{}/click", element.0), &json!({})).map(drop)
    }

    /// Types into an element.
    ///
    /// # Errors
    /// When it takes no text.
    pub fn type_into(&self, element: &Element, text: &str) -> Result<(), Error> {
        self.post(&format!("/element/{}/value", element.0), &json!({ "text": text })).map(drop)
    }

    /// Presses the Tab key, wherever the keyboard is.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn tab(&self) -> Result<(), Error> {
        let keys = json!([{"type": "keyDown", "value": TAB}, {"type": "keyUp", "value": TAB}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.post("/actions", &actions).map(drop)
    }

    /// Sets the size of the window.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Error> {
        self.post("/window/rect", &json!({ "width": width, "height": height })).map(drop)
    }

    /// A picture of what can be seen, as PNG.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn picture(&self) -> Result<Vec<u8>, Error> {
        let encoded = self.get("/screenshot").map(text)?;
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)
            .map_err(std::io::Error::other)
            .map_err(Error::io("the browser's picture is none"))
    }

    fn of(&self, element: &Element, what: &str) -> Result<String, Error> {
        self.get(&format!("/element/{}/{what}", element.0)).map(text)
    }

    fn get(&self, path: &str) -> Result<Value, Error> {
        self.ask("GET", &format!("{}{path}", self.session), None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.ask("POST", &format!("{}{path}", self.session), Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let failed = |what: String| Error::Server {
            server: "chromedriver".to_owned(),
            what: format!("{method} {path}: {what}"),
            log: String::new(),
        };
        let headers = [
            ("host".to_owned(), self.address.clone()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = http::send(&self.address, method, path, &headers, body.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        let mut value: Value =
            serde_json::from_slice(&answer.body).map_err(|error| failed(error.to_string()))?;
        if answer.status != 200 {
            return Err(failed(value["value"]["message"].to_string()));
        }
        Ok(value["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium itself; the driver is killed after it in any case.
        let _ = self.ask("DELETE", &self.session, None);
    }
}

fn text(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn element(value: &Value) -> Element {
    Element(value[ELEMENT].as_str().unwrap_or_default().to_owned())
}
