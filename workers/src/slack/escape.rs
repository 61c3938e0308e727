//! What others wrote, as Slack may show it: it stands in a code span, where `*`, `_`, `~` and `:emoji:` mean nothing; `&`, `<` and
//! `>` are escaped as Slack documents, so that no `<!channel>`, `<@U…>` or `<http://…|x>` comes about; and what would be a link or a
//! mention without brackets is taken apart.

use naru_shared::hidden::is_hidden;

/// What stands where something could not be shown.
const MARK: char = '\u{fffd}';

/// Text in a code span, escaped, of at most `limit` characters with its marks (and never fewer than room for a sign or two).
pub(super) fn code(text: &str, limit: usize) -> String {
    let room = limit.saturating_sub(3);
    let mut inner = String::with_capacity(text.len().min(room) + 2);
    let mut length = 0;
    for (index, c) in text.char_indices() {
        let shown: &str = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '`' => "'",
            // A scheme that Slack would make a link of.
            ':' if text[index..].starts_with("://") => "[:]",
            // Full width: it names nobody.
            '@' => "\u{ff20}",
            _ => &if is_hidden(c) { MARK } else { c }.to_string(),
        };
        let more = shown.chars().count();
        if length + more > room {
            inner.push('\u{2026}');
            break;
        }
        length += more;
        inner.push_str(shown);
    }
    // An empty span is no span, and one that begins or ends with a space may be none.
    if inner.trim().is_empty() {
        return "`-`".to_owned();
    }
    format!("`{}`", inner.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_links_and_marks_are_taken_apart() {
        for (text, shown) in [
            ("<!channel>", "`&lt;!channel&gt;`"),
            ("<@U012AB3CD>", "`&lt;\u{ff20}U012AB3CD&gt;`"),
            ("<http://evil.example|ok>", "`&lt;http[:]//evil.example|ok&gt;`"),
            ("https://evil.example", "`https[:]//evil.example`"),
            ("&lt;!here&gt;", "`&amp;lt;!here&amp;gt;`"),
            ("a`b*c_d~e", "`a'b*c_d~e`"),
            ("a\nb\r\u{1b}[0m", "`a\u{fffd}b\u{fffd}\u{fffd}[0m`"),
            ("a\u{200b}b\u{202e}c\u{2066}d\u{feff}", "`a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}`"),
            ("@channel", "`\u{ff20}channel`"),
            ("", "`-`"),
            ("  ", "`-`"),
            ("안녕", "`안녕`"),
        ] {
            assert_eq!(code(text, 100), shown);
        }
    }

    #[test]
    fn whatever_is_written_cannot_act_nor_exceed_its_room() {
        let parts = [
            "<", ">", "&", "`", "://", "@", "!", "*", "_", "\n", "\u{200b}", "\u{202e}", "a", "é", "😀", "|",
            "#", " ", "\0", ":", "/",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(..40)).map(|_| parts[random.usize(..parts.len())]).collect();
            let limit = random.usize(10..80);
            let shown = code(&text, limit);
            assert!(shown.chars().count() <= limit, "{text:?} {shown:?}");
            let inner = shown.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap();
            assert!(!inner.is_empty() && !inner.contains(['<', '>', '`', '@', '\n']), "{text:?} {shown:?}");
            assert!(!inner.contains("://") && !inner.chars().any(is_hidden), "{text:?} {shown:?}");
            let mut entities = inner.split('&').skip(1);
            assert!(entities.all(|rest| ["amp;", "lt;", "gt;"].iter().any(|e| rest.starts_with(e))));
        }
    }
}
