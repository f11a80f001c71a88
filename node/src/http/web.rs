//! The pages: a dashboard of the node at `/`, and an app of notes at `/notes`.
//!
//! They are files of `web/`, embedded in the program as they are: nothing is built, and nothing
//! comes from elsewhere, so that they work on a machine without a way out. They hold no data and
//! are the same for everybody, so whoever reaches the node may have them; what they show they ask
//! of the routes that programs ask, with the token that a person gives them where one is needed.
//!
//! What documents hold is hostile here: the policy below lets the browser run our files alone, and
//! refuses to make elements of text (`require-trusted-types-for`). Which routes are open is decided
//! by [`super::guard`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;

use super::failure::{Answer, Named, nothing_here};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Only our own files, no script or style in the page itself, and nobody may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// A file, and what names this version of it.
struct Asset {
    kind: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

macro_rules! assets {
    ($($name:literal: $kind:ident),+ $(,)?) => {
        [$(($name, $kind, include_str!(concat!("web/", $name)))),+]
    };
}

static ASSETS: LazyLock<BTreeMap<&str, Asset>> = LazyLock::new(|| {
    let files = assets! {
        "dashboard.html": HTML,
        "notes.html": HTML,
        "base.css": STYLE,
        "dashboard.css": STYLE,
        "notes.css": STYLE,
        "api.js": SCRIPT,
        "dom.js": SCRIPT,
        "conflict.js": SCRIPT,
        "dashboard.js": SCRIPT,
        "history.js": SCRIPT,
        "map.js": SCRIPT,
        "plot.js": SCRIPT,
        "tape.js": SCRIPT,
        "notes.js": SCRIPT,
        "icon.svg": PICTURE,
    };
    let known = |(name, kind, text): (&'static str, &'static str, &'static str)| {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        let tag = HeaderValue::from_str(&format!("\"{}\"", &hash[..32])).expect("it is ASCII");
        (name, Asset { kind, text, tag })
    };
    files.into_iter().map(known).collect()
});

/// `GET /`
pub(super) async fn dashboard(headers: HeaderMap) -> Answer {
    give("dashboard.html", &headers)
}

/// `GET /notes`
pub(super) async fn notes(headers: HeaderMap) -> Answer {
    give("notes.html", &headers)
}

/// `GET /web/{file}`
pub(super) async fn file(Named(name): Named<String>, headers: HeaderMap) -> Answer {
    give(&name, &headers)
}

fn give(name: &str, headers: &HeaderMap) -> Answer {
    let asset = ASSETS.get(name).ok_or_else(nothing_here)?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let tag = asset.tag.to_str().expect("it is ASCII");
    let same = known.is_some_and(|tags| {
        tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
    });
    let mut answer = match same {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => asset.text.into_response(),
    };
    let fixed = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer.headers_mut().insert(header::ETAG, asset.tag.clone());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use axum::response::Response;

    use super::*;

    fn ask(name: &str, known: Option<&str>) -> Option<Response> {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
        }
        give(name, &headers).ok()
    }

    #[test]
    fn a_file_is_sent_once_and_then_only_when_it_has_changed() {
        let first = ask("dashboard.js", None).unwrap();
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(first.status(), StatusCode::OK);
        for known in [&tag, &format!("\"x\", {tag}"), &format!("W/{tag}")] {
            assert_eq!(ask("dashboard.js", Some(known)).unwrap().status(), 304, "{known}");
        }
        assert_eq!(ask("dashboard.js", Some("\"x\"")).unwrap().status(), 200);
        assert!(ask("../web.rs", None).is_none() && ask("", None).is_none());
    }

    /// What the policy forbids would fail silently in a browser, and what comes from elsewhere would
    /// fail on a machine without a way out.
    #[test]
    fn the_pages_are_of_what_the_policy_lets_through() {
        for (name, asset) in ASSETS.iter() {
            let text = asset.text;
            for never in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
                assert!(!text.contains(never), "{name}: {never}");
            }
            for (at, _) in text.match_indices("://") {
                let names_svg = text[at..].starts_with("://www.w3.org/2000/svg");
                assert!(names_svg, "{name}: {}", &text[at.saturating_sub(20)..]);
            }
            if asset.kind == HTML {
                for inline in ["<style", " style=", " onclick=", " onload="] {
                    assert!(!text.contains(inline), "{name}: {inline}");
                }
                for script in text.split("<script").skip(1) {
                    assert!(script.split('>').next().unwrap().contains("src=\"/web/"), "{name}");
                }
                let named =
                    text.split("\"/web/").skip(1).map(|rest| rest.split('"').next().unwrap());
                named.for_each(|file| assert!(ASSETS.contains_key(file), "{name}: {file}"));
            }
            if asset.kind == SCRIPT {
                let named =
                    text.split("from './").skip(1).map(|rest| rest.split('\'').next().unwrap());
                named.for_each(|file| assert!(ASSETS.contains_key(file), "{name}: {file}"));
            }
        }
    }
}
