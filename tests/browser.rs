//! The sidecar's pages in a real Chromium: without scripts, light and dark, by keyboard, and as a
//! screen reader is told.

mod sidecar;
mod stage;

use harness::browser::{Browser, Element, Options};
use harness::temporal::Server as Temporal;
use sidecar::{Sidecar, TOKEN};
use stage::Stage;

struct World {
    sidecar: Sidecar,
    _temporal: Temporal,
    _stage: Stage,
}

impl World {
    /// A sidecar that has made a backup and archived some histories.
    fn new() -> Self {
        let mut stage = Stage::new();
        let temporal = Temporal::start(&stage.server).unwrap();
        for (name, value) in temporal.env() {
            stage.set(name, value);
        }
        stage.set("AIDP_BACKUP_SETTLE", "1s");
        temporal.run_demo("default", 0, 6).unwrap();
        let mut command = stage.command(&["serve", "-d", "shop"]);
        command.env("AIDP_BACKUP_TOKEN", TOKEN);
        let sidecar = Sidecar::start(command);
        sidecar.export_when(|job| job["lastGood"].is_object());
        sidecar.job_when("archive", |job| !job["namespaces"].as_array().unwrap().is_empty());
        // What has just closed has not settled yet.
        let search = ["history", "search", "-w", "change-0", "--type", "ChangePipeline", "--json"];
        while stage.run(&search).stdout.is_empty() {
            let before = sidecar.job_when("archive", |job| job["running"].is_null());
            assert_eq!(sidecar.post("/api/v1/jobs/archive", Some(TOKEN)).status, 202);
            sidecar.job_when("archive", |job| {
                job["running"].is_null() && job["last"]["run"] != before["last"]["run"]
            });
        }
        Self { sidecar, _temporal: temporal, _stage: stage }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.sidecar.address)
    }
}

/// What every page must have for those who do not see it.
fn check_structure(browser: &Browser) {
    let count = |css: &str| browser.all(css).unwrap().len();
    for landmark in ["main", "header", "footer", "nav[aria-label=Pages]", "h1", "html[lang]"] {
        assert_eq!(count(landmark), 1, "{landmark}");
    }
    // No level of headings is left out.
    let mut before = 0;
    for heading in browser.all("h1, h2, h3, h4").unwrap() {
        let level: u32 = browser.tag(&heading).unwrap()[1..].parse().unwrap();
        assert!(level <= before + 1, "h{level} after h{before}");
        assert_eq!(browser.role(&heading).unwrap(), "heading");
        before = level;
    }
    for named in browser.all("a, input, select, button, [role=region], progress").unwrap() {
        let shown = browser.attribute(&named, "outerHTML").unwrap();
        assert!(!browser.label(&named).unwrap().trim().is_empty(), "nameless: {shown}");
    }
    assert_eq!(count("th"), count("th[scope]"));
    assert_eq!(count("thead"), count("table"));
    assert_eq!(count("img, iframe, link[href], [src]"), 0, "something comes from elsewhere");
}

/// Red, green, blue and opacity, as the browser computes colours.
fn colour(text: &str) -> [f64; 4] {
    let inside = text.split(['(', ')']).nth(1).unwrap();
    let mut numbers = inside.split(',').map(|part| part.trim().parse::<f64>().unwrap());
    let mut next = || numbers.next().unwrap_or(1.0);
    [next(), next(), next(), next()]
}

/// Relative luminance: <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>
fn luminance([red, green, blue, _]: [f64; 4]) -> f64 {
    let linear = |part: f64| {
        let part = part / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// Text stands out from what is behind it: 4.5 to 1 at least (WCAG 2.2, AA).
fn check_contrast(browser: &Browser, ground: &Element, css: &str) {
    let style = |element: &Element, name: &str| colour(&browser.style(element, name).unwrap());
    for element in browser.all(css).unwrap() {
        let own = style(&element, "background-color");
        let behind = if own[3] > 0.0 { own } else { style(ground, "background-color") };
        let (one, other) = (luminance(style(&element, "color")), luminance(behind));
        let ratio = (one.max(other) + 0.05) / (one.min(other) + 0.05);
        let what = browser.text(&element).unwrap();
        assert!(ratio >= 4.5, "{what:?} has a contrast of {ratio:.2}");
    }
}

#[test]
fn the_pages_work_in_a_real_browser_for_everybody() {
    let world = World::new();

    // Without scripts everything is there, and a history is opened by clicks alone.
    let plain = Browser::start(Options { without_scripts: true, ..Options::default() }).unwrap();
    let proof =
        "data:text/html,<p>off</p><script>document.querySelector('p').textContent='on'</script>";
    plain.go(proof).unwrap();
    assert_eq!(plain.text(&plain.one("p").unwrap()).unwrap(), "off", "scripts run");
    plain.go(&world.at("/")).unwrap();
    assert_eq!(plain.title().unwrap(), "Good · aidp-backup");
    let verdict = plain.text(&plain.one(".verdict").unwrap()).unwrap();
    assert!(verdict.contains("You could restore the state of"), "{verdict}");
    assert_eq!(plain.all("ol.week li").unwrap().len(), 7);
    check_structure(&plain);
    plain.click(&plain.one("nav a[href='/histories']").unwrap()).unwrap();
    check_structure(&plain);
    plain.type_into(&plain.one("#workflow").unwrap(), "change-0").unwrap();
    plain.type_into(&plain.one("#type").unwrap(), "ChangePipeline").unwrap();
    plain.click(&plain.one("form button").unwrap()).unwrap();
    assert!(plain.url().unwrap().contains("workflow=change-0"), "{}", plain.url().unwrap());
    assert_eq!(plain.all("tbody tr").unwrap().len(), 1);
    plain.click(&plain.one("tbody a").unwrap()).unwrap();
    assert_eq!(plain.text(&plain.one("h1").unwrap()).unwrap(), "change-0");
    check_structure(&plain);
    let events = plain.text(&plain.one("table").unwrap()).unwrap();
    assert!(events.contains("WorkflowExecutionStarted"), "{events}");
    let folded = plain.one("details pre").unwrap();
    assert!(!plain.is_shown(&folded).unwrap());
    plain.click(&plain.one("details summary").unwrap()).unwrap();
    assert!(plain.is_shown(&folded).unwrap());
    assert!(!plain.text(&folded).unwrap().is_empty());
    drop(plain);

    // Light and dark.
    let mut grounds = Vec::new();
    for dark in [false, true] {
        let browser = Browser::start(Options { dark, ..Options::default() }).unwrap();
        for path in ["/", "/histories"] {
            browser.go(&world.at(path)).unwrap();
            let body = browser.one("body").unwrap();
            let card = browser.one("section").unwrap();
            check_contrast(&browser, &card, "section p, section td, section th, .tag, section a");
            check_contrast(&browser, &card, "ol.week li, button, label, dt");
            check_contrast(&browser, &body, "header h1, header a, footer, footer a");
            if path == "/" {
                grounds.push(colour(&browser.style(&body, "background-color").unwrap()));
            }
        }
        if !dark {
            check_keyboard(&browser, &world);
        }
    }
    assert!(luminance(grounds[0]) > 0.8 && luminance(grounds[1]) < 0.05, "{grounds:?}");
    let World { sidecar, .. } = world;
    sidecar.stop();
}

/// By the Tab key alone: the link past the navigation comes first, then everything that can be
/// used in the order of the page, each with an outline that can be seen.
fn check_keyboard(browser: &Browser, world: &World) {
    for path in ["/", "/histories"] {
        browser.go(&world.at(path)).unwrap();
        let usable = "a[href], input, select, button, summary, [tabindex='0']";
        let wanted = browser.all(usable).unwrap();
        let mut reached: Vec<Element> = Vec::new();
        while reached.len() < wanted.len() {
            browser.tab().unwrap();
            let focused = browser.focused().unwrap();
            // A field of several parts, such as a time, takes several strokes.
            if reached.last() == Some(&focused) {
                continue;
            }
            assert_ne!(browser.tag(&focused).unwrap(), "body", "the end came too early");
            assert_ne!(browser.style(&focused, "outline-style").unwrap(), "none");
            assert!(browser.is_shown(&focused).unwrap());
            reached.push(focused);
        }
        assert_eq!(reached, wanted, "{path}");
        assert_eq!(browser.attribute(&reached[0], "class").unwrap(), "skip");
    }
}
