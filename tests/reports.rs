//! Promise: reports can be read on a wide screen and on a phone, light and dark, without a script and without the network; and
//! they say where their figures are from.

use sordino_tests::browser::{Browser, Scheme};
use std::path::Path;
use std::process::{Command, Stdio};

fn simulator(folder: &Path, arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_simulator-under-test");
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const SMALL: &str = "baselines = [\"popularity\", \"ials\"]\ncurve = [4.0]\nevaluate_listeners = 300\n\n\
                     [world]\nlisteners = 1000\ntracks = 120\nartists = 30\nmedian_plays = 40.0\n";

// What a reader sees at one width in one scheme.
fn holds(browser: &mut Browser, page: &Path, name: &str) {
    for width in [1280, 390] {
        browser.view(width, 900);
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.scheme(scheme);
            browser.open_file(page);
            let place = format!("{name}, {width} pixels, {}", scheme.name());
            if let Some(folder) = std::env::var_os("SORDINO_SCREENSHOTS") {
                browser.screenshot(&Path::new(&folder).join(format!("report-{name}-{width}-{}.png", scheme.name())));
            }
            let wrong = [browser.out_of_place(), browser.faint(), browser.unnamed()].concat();
            assert!(wrong.is_empty(), "{place}:\n{}", wrong.join("\n"));
            let fits = browser.run("return document.documentElement.scrollWidth <= window.innerWidth");
            assert_eq!(fits, true, "{place}: wider than its window");
            // The words of each cell lie within the cell and within the window, and figures are whole.
            let cut = browser.text_of(
                "const told = [];
                 for (const cell of document.querySelectorAll('td, th')) {
                   if (!cell.checkVisibility()) continue;
                   const words = document.createRange(); words.selectNodeContents(cell);
                   const [inner, outer] = [words.getBoundingClientRect(), cell.getBoundingClientRect()];
                   if (inner.right > outer.right + 1 || inner.left < outer.left - 1 || inner.right > innerWidth + 1) told.push(cell.innerText);
                 }
                 return told.join('; ')",
            );
            assert_eq!(cut, "", "{place}: cells are cut");
            // Charts use the width that they have, and are as dark as the page.
            let narrow = browser.text_of(
                "return [...document.querySelectorAll('.chart, .bars')].filter(of =>
                   of.getBoundingClientRect().width < .95 * of.parentElement.clientWidth - 45).length",
            );
            assert_eq!(narrow, "0", "{place}: charts that leave room");
            let back = browser.text_of("return getComputedStyle(document.querySelector('section')).backgroundColor");
            let bright = back.trim_start_matches("rgb(").split(',').next().and_then(|red| red.parse::<u32>().ok());
            assert_eq!(bright.expect("a colour") > 127, scheme == Scheme::Light, "{place}: {back}");
            let white = browser.text_of(
                "return [...document.querySelectorAll('svg, svg *')].filter(of => /255, 255, 255/.test(getComputedStyle(of).fill)
                   && of.checkVisibility() && of.tagName !== 'svg').length",
            );
            assert_eq!(white, "0", "{place}: something white in a chart");
            assert_eq!(browser.errors(), Vec::<String>::new(), "{place}");
        }
    }
    // Nothing that has to be asked for.
    let text = std::fs::read_to_string(page).expect("the page");
    for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!text.contains(outside), "{name}: {outside}");
    }
}

#[test]
fn a_run_can_be_read_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    std::fs::write(f.join("a small one.toml"), SMALL).expect("a file");
    let arguments = [
        "run",
        "--scenario",
        "a small one.toml",
        "--epsilon",
        "8",
        "--dim",
        "8",
        "--rounds",
        "2",
        "--population",
        "1000000",
    ];
    simulator(f, &arguments);
    let page = f.join("sordino-out/report.html");
    let text = std::fs::read_to_string(&page).expect("a page");
    for said in [
        concat!("sordino-simulator ", env!("CARGO_PKG_VERSION")),
        "sordino-simulator run --scenario 'a small one.toml' --epsilon 8",
        " UTC</dd>",
        "<dt>Data</dt><dd>the built-in synthetic world: ",
        "<dt>Seed</dt><dd>1</dd>",
        "class=\"interval",
        "listeners are tested",
    ] {
        assert!(text.contains(said), "'{said}' is not in the page");
    }
    for raw in ["ZeroOut", "Secure<", "MoreThanADay", "SkipStorm", "genre 0", "decade 1", "NaN"] {
        assert!(!text.contains(raw), "'{raw}' is in the page");
    }
    let Some(mut browser) = Browser::find() else { return };
    holds(&mut browser, &page, "run");
    simulator(f, &["compare", "a small one.toml", "--out", "side by side"]);
    holds(&mut browser, &f.join("side by side/report.html"), "compare");
}

#[test]
fn experiments_can_be_read_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    std::fs::write(f.join("small.toml"), SMALL.replace("baselines = [\"popularity\", \"ials\"]\ncurve = [4.0]\n", ""))
        .expect("a file");
    std::fs::write(f.join("few.toml"), "central_rounds = 2\nrounds = 2\n").expect("a file");
    let experiments: [&[&str]; 7] = [
        &["evaluate", "--scenario", "small.toml", "--dim", "4", "--rounds", "2"],
        &["labels", "--scenario", "small.toml"],
        &["cold-start", "--scenario", "small.toml", "--settings", "few.toml"],
        &["poison", "--scenario", "small.toml", "--shares", "0.1", "--dim", "4", "--rounds", "1"],
        &["run", "--stream", "--scenario", "small.toml"],
        &["rollout", "--runs", "20"],
        &["rank", "--scenario", "small.toml", "--ranker", "few.toml"],
    ];
    let mut browser = Browser::find();
    for arguments in experiments {
        let name = arguments[0];
        let out = format!("{name}-out");
        simulator(f, &[arguments, &["--out", &out]].concat());
        let page = f.join(&out).join("report.html");
        let first = std::fs::read_to_string(&page).expect("a page");
        assert!(first.contains(" UTC</dd>") && first.contains(&format!("sordino-simulator {name}")), "{name}");
        // Made again from the figures it is the same page, whatever was run meanwhile.
        simulator(f, &["report", &out]);
        assert!(std::fs::read_to_string(&page).expect("a page") == first, "{name}: another page");
        if let Some(browser) = &mut browser {
            holds(browser, &page, name);
        }
    }
}

#[test]
fn json_goes_to_standard_output_and_the_text_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    std::fs::write(f.join("small.toml"), SMALL).expect("a file");
    for arguments in [
        &["run", "--scenario", "small.toml", "--baselines", "none", "--curve", "none"][..],
        &["compare", "small.toml"],
        &["labels", "--scenario", "small.toml"],
        &["rollout", "--runs", "5"],
    ] {
        let arguments = [arguments, &["--json", "-"]].concat();
        let told = simulator(f, &arguments);
        serde_json::from_str::<serde_json::Value>(&told)
            .unwrap_or_else(|fault| panic!("{arguments:?}: {fault}: {told}"));
        assert!(!f.join("-").exists(), "{arguments:?} wrote a file of that name");
    }
}

#[test]
fn a_second_run_keeps_what_is_not_a_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let f = folder.path();
    let out = f.join("sordino-out");
    std::fs::write(f.join("small.toml"), SMALL).expect("a file");
    let run = ["run", "--scenario", "small.toml", "--baselines", "none", "--curve", "none"];
    simulator(f, &run);
    std::fs::create_dir_all(out.join("figures/more")).expect("a folder");
    for mine in ["notes.md", "figures/one.png", "figures/more/report.html"] {
        std::fs::write(out.join(mine), "mine").expect("planted");
    }
    std::fs::write(out.join("config.toml"), "epsilon = 3.0 # mine\n").expect("edited");
    // Another run, an experiment in its place, and the report again.
    for (arguments, left) in [
        (&run[..], "results.json"),
        (&["labels", "--scenario", "small.toml"][..], "labels.json"),
        (&["report", "sordino-out"][..], "labels.json"),
        (&["rollout", "--runs", "5"][..], "rollout.json"),
        (&run[..], "results.json"),
    ] {
        simulator(f, arguments);
        for mine in ["notes.md", "figures/one.png", "figures/more/report.html"] {
            assert_eq!(std::fs::read_to_string(out.join(mine)).expect("there"), "mine", "{arguments:?}: {mine}");
        }
        assert_eq!(std::fs::read_to_string(out.join("config.kept.toml")).expect("kept"), "epsilon = 3.0 # mine\n");
        let results = ["results.json", "labels.json", "rollout.json"].map(|name| (name, out.join(name).exists()));
        assert!(results.iter().all(|(name, there)| *there == (*name == left)), "{arguments:?}: {results:?}");
    }
    // Killed whenever it may be, a run leaves one whole behind, and the hands' files.
    for wait in [300, 900, 1500, 2100] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_simulator-under-test"))
            .args(run)
            .args(["--seed", &wait.to_string()])
            .current_dir(f)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let _ = child.kill();
        let _ = child.wait();
        simulator(f, &["report", "sordino-out"]);
        assert_eq!(std::fs::read_to_string(out.join("notes.md")).expect("there"), "mine");
    }
}
