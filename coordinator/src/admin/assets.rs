//! The files of the operator's page, within the program. Scripts are modules: each names what it takes from which other, so none depends on the
//! order in which they are loaded.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// The page and whatever it loads.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let all = [("/", "text/html; charset=utf-8", include_str!("page.html"))].into_iter().chain(FILES);
    all.fold(Router::new(), |app, (path, kind, text)| app.route(path, get(move || async move { file(kind, text) })))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

const FILES: [(&str, &str, &str); 10] = [
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/page.js", SCRIPT, include_str!("page.js")),
    ("/dom.js", SCRIPT, include_str!("dom.js")),
    ("/words.js", SCRIPT, include_str!("words.js")),
    ("/budget.js", SCRIPT, include_str!("budget.js")),
    ("/serving.js", SCRIPT, include_str!("serving.js")),
    ("/tasks.js", SCRIPT, include_str!("tasks.js")),
    ("/rollouts.js", SCRIPT, include_str!("rollouts.js")),
    ("/acts.js", SCRIPT, include_str!("acts.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_loaded_is_there_and_of_this_page() {
        let served = |name: &str| FILES.iter().any(|(path, ..)| path.strip_prefix('/') == Some(name));
        for (path, kind, text) in FILES {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.split('"').nth(1).and_then(|from| from.strip_prefix("./")).expect("a file beside it");
                assert!(served(from), "{path} imports {from}");
            }
            assert!(kind != SCRIPT || path == "/page.js" || text.contains("export "), "{path} gives nothing to others");
        }
        let page = include_str!("page.html");
        for name in ["page.css", "icon.svg", "page.js"] {
            assert!(page.contains(&format!("=\"{name}\"")) && served(name), "{name}");
        }
        assert_eq!(page.matches("<script").count(), 1, "one module brings the others in");
    }
}
