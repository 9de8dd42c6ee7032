//! The operator's page as a person has it before them: held to the same at every width and in both schemes.

use crate::browser::{Browser, Scheme};
use sordino_coordinator::rollout::people::{People, Right};
use std::net::SocketAddr;
use std::path::Path;

/// Opens the page and waits until it is live.
pub fn open(browser: &mut Browser, admin: SocketAddr) {
    browser.open(&format!("http://{admin}/"));
    browser.wait("the page is live", "return document.querySelector('#link').innerText === 'live'");
}

/// Waits until the page shows a text.
pub fn shows(browser: &mut Browser, text: &str) {
    browser.wait_for(&format!("the page shows '{text}'"), |browser| has(browser, text).then_some(()));
}

/// Whether it does. Lines are broken where they fit, so blanks are all alike.
pub fn has(browser: &Browser, text: &str) -> bool {
    browser.seen("body").split_whitespace().collect::<Vec<_>>().join(" ").contains(text)
}

/// Holds the page against what is promised of it at 1,280 and 390 pixels, light and dark: nothing wider than the window, nothing cut
/// off, nothing too faint, everything named. Leaves the window as it was. Where `SORDINO_SCREENSHOTS` names a folder, pictures are left there.
pub fn everywhere(browser: &Browser, name: &str) {
    let (width, scheme) = (browser.run("return innerWidth"), browser.run(DARK));
    for width in [1280, 390] {
        browser.view(width, if width > 700 { 900 } else { 844 });
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.scheme(scheme);
            let place = format!("{name}, {width} pixels, {}", scheme.name());
            let wrong = [browser.out_of_place(), browser.faint(), browser.unnamed()].concat();
            assert!(wrong.is_empty(), "{place}:\n{}", wrong.join("\n"));
            if let Some(folder) = std::env::var_os("SORDINO_SCREENSHOTS") {
                let file = format!("{name}-{width}-{}.png", scheme.name()).replace([' ', ','], "-");
                browser.screenshot(&Path::new(&folder).join(file));
            }
        }
    }
    let width = width.as_u64().and_then(|width| u32::try_from(width).ok()).expect("a window's width");
    browser.view(width, 900);
    browser.scheme(if scheme == true { Scheme::Dark } else { Scheme::Light });
}

const DARK: &str = "return matchMedia('(prefers-color-scheme: dark)').matches";

/// Nothing has gone wrong in the page.
pub fn no_errors(browser: &mut Browser) {
    assert_eq!(browser.errors(), Vec::<String>::new());
}

/// Nothing has, but that the coordinator refused something; browsers write that into the console.
pub fn refused(browser: &mut Browser) {
    let other: Vec<String> =
        browser.errors().into_iter().filter(|error| !error.contains("status of 403 (Forbidden)")).collect();
    assert_eq!(other, Vec::<String>::new());
}

/// Gives people their rights, in the order of their names; gives their tokens.
pub fn people(folder: &Path, of: &[(&str, &[Right])]) -> Vec<String> {
    let mut people = People::load(folder).expect("nobody yet");
    let tokens = of.iter().map(|(name, rights)| people.add(name, rights).expect("a new name").to_string()).collect();
    people.store(folder).expect("written");
    tokens
}

/// Gives a token to the page, as its owner would.
pub fn knock(browser: &mut Browser, token: &str) {
    if browser.run("return !document.querySelector('#knock').checkVisibility()") == true {
        browser.press("Forget the token");
    }
    browser.fill("#token", token);
    browser.press("Show what I may do");
    browser.wait("an answer", "return document.querySelector('#answer').innerText !== 'Asking …'");
}

/// Presses an act's button, with a reason where one is given, and waits for the answer, which it gives.
pub fn act(browser: &mut Browser, button: &str, why: Option<&str>) -> String {
    if let Some(why) = why {
        browser.fill("#why", why);
    }
    browser.press(button);
    let answered = "const said = document.querySelector('#answer').innerText; return said !== 'Asking …' && said";
    browser.wait(&format!("an answer to '{button}'"), answered).as_str().unwrap_or_default().to_owned()
}

/// The buttons that can be pressed.
pub fn buttons(browser: &Browser) -> Vec<String> {
    let all = browser.run("return [...document.querySelectorAll('[data-act]:enabled')].map((one) => one.innerText)");
    all.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}
