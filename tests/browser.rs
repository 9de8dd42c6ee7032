//! The tests' own browser: what it says of a page can be relied upon, above all that something is wrong.

use sordino_tests::browser::{Browser, Scheme};

fn open(browser: &mut Browser, body: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a page #1.html");
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>a page</title><link rel=icon href=data:,><body>{body}"
    );
    std::fs::write(&path, page).expect("written");
    browser.open_file(&path);
}

const NONE: [String; 0] = [];

#[test]
fn errors_are_told_once() {
    let Some(mut browser) = Browser::find() else { return };
    open(&mut browser, "<p>all is well</p>");
    assert_eq!(browser.errors(), NONE);
    let wrong = [
        ("<script>byId('a')</script>", "byId is not defined"),
        ("<script>Promise.reject(new Error('nobody caught it'))</script>", "nobody caught it"),
        ("<script>console.error('said so')</script>", "said so"),
        ("<img src=nowhere.png alt=nothing>", "nowhere.png"),
        ("<meta http-equiv=Content-Security-Policy content=\"style-src 'none'\"><style>p{}</style>", "style-src"),
    ];
    for (body, expected) in wrong {
        open(&mut browser, body);
        let mut told = Vec::new();
        browser.wait_for(expected, |browser| {
            told.extend(browser.errors());
            told.iter().any(|error| error.contains(expected)).then_some(())
        });
        assert_eq!(told.len(), 1, "{told:?}");
    }
    // Also where the page is left before anybody asks.
    open(&mut browser, "<script>throw new Error('of the page before')</script>");
    open(&mut browser, "<p>all is well</p>");
    assert!(browser.errors().iter().any(|error| error.contains("of the page before")));
    assert_eq!(browser.errors(), NONE);
}

#[test]
fn what_does_not_fit_is_told() {
    let Some(mut browser) = Browser::find() else { return };
    browser.view(390, 844);
    let wide = "<div style='width:800px'>a wide thing</div>";
    let cases = [
        ("<p>all is well, and what is long enough for it goes on in the next line of the page</p>".to_owned(), false),
        (format!("<div style='overflow-x:auto'>{wide}</div>"), false),
        (wide.to_owned(), true),
        ("<div style='width:60px;overflow:hidden;white-space:nowrap'>all of this cannot be read</div>".into(), true),
        ("<div style='width:60px'><b style='white-space:nowrap'>this runs out of its box</b></div>".into(), true),
        ("<svg width=60 height=20><text x=20 y=12>this is cut off</text></svg>".into(), true),
        ("<svg width=200 height=20><text x=0 y=12>whole</text></svg>".into(), false),
    ];
    for (body, is_wrong) in cases {
        open(&mut browser, &body);
        let told = browser.out_of_place();
        assert_eq!(!told.is_empty(), is_wrong, "{body}: {told:?}");
    }
    browser.view(1280, 900);
    open(&mut browser, wide);
    assert_eq!(browser.out_of_place(), NONE);
}

#[test]
fn what_is_hard_to_read_or_to_hear_is_told() {
    let Some(mut browser) = Browser::find() else { return };
    open(&mut browser, "<h1>A title</h1><p style='color:#767676'>just dark enough</p><label>name <input></label>");
    assert_eq!([browser.faint(), browser.unnamed()].concat(), NONE);
    let faint = [
        "<p style='color:#999'>faint</p>",
        "<div style='background:#345'><p style='color:#567'>faint</p></div>",
        "<p style='color:rgba(0,0,0,.3)'>faint</p>",
        "<svg width=90 height=20 aria-hidden=true><text y=12 fill=#bbb>faint</text></svg>",
    ];
    for body in faint {
        open(&mut browser, body);
        assert_eq!(browser.faint().len(), 1, "{body}: {:?}", browser.faint());
    }
    let unnamed = [
        "<input placeholder='a name'>",
        "<button></button>",
        "<svg width=9 height=9></svg>",
        "<h1>A title</h1><h3>a part</h3>",
        "<i id=one></i><i id=one></i>",
    ];
    for body in unnamed {
        open(&mut browser, body);
        assert_eq!(browser.unnamed().len(), 1, "{body}: {:?}", browser.unnamed());
    }
}

#[test]
fn a_person_can_be_played() {
    let Some(mut browser) = Browser::find() else { return };
    let page = "<style>@media (prefers-color-scheme: dark) { body { background: rgb(1, 2, 3) } }</style>
        <input id=name value=before><button>say it</button><p id=said></p>
        <script>document.querySelector('button').onclick = () => { said.textContent = document.querySelector('#name').value }</script>";
    open(&mut browser, page);
    let background = "return getComputedStyle(document.body).backgroundColor";
    assert_ne!(browser.run(background), "rgb(1, 2, 3)");
    browser.scheme(Scheme::Dark);
    assert_eq!(browser.run(background), "rgb(1, 2, 3)");
    browser.fill("#name", "anna");
    browser.press("say it");
    browser.wait("it is said", "return said.textContent !== ''");
    assert_eq!(browser.seen("#said"), "anna");
    for width in [390, 1280] {
        browser.view(width, 844);
        assert_eq!(browser.run("return [innerWidth, innerHeight].join()"), format!("{width},844"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("picture.png");
    browser.screenshot(&picture);
    let bytes = std::fs::read(&picture).expect("a picture");
    // Its width stands in the header.
    assert_eq!((&bytes[1..4], &bytes[16..20]), (&b"PNG"[..], &1280u32.to_be_bytes()[..]));
    assert_eq!(browser.errors(), NONE);
}
