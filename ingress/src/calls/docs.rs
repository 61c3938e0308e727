//! `GET /docs`: a page to read and try the API. All that it loads comes from here; it asks nobody else for anything.

use std::sync::LazyLock;

use actix_web::http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use naru_shared::blobs::Sha256Sum;

use super::contract::known_or;
use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// What the page may do: load from here, talk to here, and nothing else. Swagger UI draws its icons as images within its style
/// sheet, and colours of code by attributes, which are styles and run nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

/// One file of the page, and the tag of its content.
struct File {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    tag: String,
}

macro_rules! swagger_ui {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name))
    };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files: [(&str, &str, &[u8]); 6] = [
        ("", "text/html; charset=utf-8", include_bytes!("docs/page.html")),
        ("start.js", "text/javascript; charset=utf-8", include_bytes!("docs/start.js")),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", swagger_ui!("swagger-ui-bundle.js")),
        ("swagger-ui.css", "text/css; charset=utf-8", swagger_ui!("swagger-ui.css")),
        ("swagger-ui-license.txt", "text/plain; charset=utf-8", swagger_ui!("swagger-ui-license.txt")),
        ("swagger-ui-notice.txt", "text/plain; charset=utf-8", swagger_ui!("swagger-ui-notice.txt")),
    ];
    let file = |(name, content_type, content)| {
        let digest = HEXLOWER.encode(&Sha256Sum::of(content).as_bytes()[..16]);
        File { name, content_type, content, tag: format!("\"{digest}\"") }
    };
    files.into_iter().map(file).collect()
});

/// The page, or one of the files that it loads.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let name = exchange.request.match_info().get("file").unwrap_or_default();
    let whole = exchange.request.path() == "/docs";
    let file = FILES.iter().find(|file| file.name == name && whole == file.name.is_empty());
    let file = file.filter(|_| exchange.front.docs).ok_or(Code::NotFound)?;
    let mut answer =
        known_or(&exchange.request, &file.tag, file.content_type, Bytes::from_static(file.content));
    answer.headers.extend([
        // The next release has other files under the same names: the tag is asked for each time.
        (CACHE_CONTROL, "public, no-cache".into()),
        (CONTENT_SECURITY_POLICY, POLICY.into()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
        (REFERRER_POLICY, "no-referrer".into()),
        (PERMISSIONS, "camera=(), geolocation=(), microphone=()".into()),
    ]);
    debug_assert!(answer.status == StatusCode::OK || answer.body.is_empty());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> &'static str {
        let file = FILES.iter().find(|file| file.name == name).unwrap();
        str::from_utf8(file.content).unwrap()
    }

    #[test]
    fn the_page_loads_its_own_files_alone() {
        let page = text("");
        let loaded = page.split("src=\"").chain(page.split("href=\"")).filter(|rest| rest.starts_with('/'));
        let names: Vec<&str> =
            loaded.filter_map(|rest| rest.split('"').next()?.strip_prefix("/docs/")).collect();
        assert_eq!(names, ["swagger-ui-bundle.js", "start.js", "swagger-ui.css"]);
        for name in names {
            assert!(!text(name).is_empty());
        }
        assert!(!page.contains("//") && !page.contains("<style") && !page.contains("<script>"), "{page}");
        let style = text("swagger-ui.css");
        for place in style.split("url(").skip(1) {
            let place = place.trim_start_matches(['"', '\'']);
            assert!(place.starts_with("data:"), "{}", place.get(..40).unwrap_or(place));
        }
        assert!(!style.contains("@import"));
    }

    #[test]
    fn the_policy_lets_no_text_become_a_program() {
        assert!(!POLICY.contains("unsafe-eval") && !POLICY.contains("http") && !POLICY.contains('*'));
        assert!(POLICY.contains("script-src 'self';"));
        let tags: std::collections::BTreeSet<&str> = FILES.iter().map(|file| &*file.tag).collect();
        assert_eq!(tags.len(), FILES.len());
    }
}
