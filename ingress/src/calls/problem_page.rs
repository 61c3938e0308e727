//! `GET /problems/{code}`: what a refusal means, for people. Needs no credential.

use actix_web::http::StatusCode;

use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// A short page about one code.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let word = exchange.request.match_info().get("code").unwrap_or_default();
    let code = Code::from_word(word).ok_or(Code::NotFound)?;
    Ok(Answer { content_type: "text/html; charset=utf-8", ..Answer::of(StatusCode::OK, page(code).into()) })
}

/// The table's texts are our own and hold nothing that HTML would read as markup.
fn page(code: Code) -> String {
    let (word, title, status) = (code.as_str(), code.title(), code.status().as_u16());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{word}</title>\n<h1>{title}</h1>\n\
         <p><code>{word}</code>, HTTP status {status}</p>\n<p>{}</p>\n<h2>What to do</h2>\n<p>{}</p>\n</html>\n",
        code.page(),
        code.advice()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_table_is_markup() {
        for code in Code::ALL {
            for text in [code.as_str(), code.title(), code.page(), code.advice()] {
                assert!(!text.contains(['<', '>', '&']), "{text}");
            }
        }
        assert!(page(Code::RateLimited).contains("<h1>Too many requests</h1>"));
    }
}
