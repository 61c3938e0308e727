//! Characters of what others wrote that are not shown as they are, neither on a terminal nor in a chat.

/// Whether a character is not seen, or moves those beside it: controls and line breaks, zero widths, marks of direction, and
/// everything else of Unicode's category "format".
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_direction_is_hidden_and_what_is_read_is_not() {
        for c in
            ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{feff}', '\u{1b}', '\u{9b}', '\n']
        {
            assert!(is_hidden(c), "{}", c.escape_unicode());
        }
        for c in "aé나가나😀ع א!-…₩ ".chars() {
            assert!(!is_hidden(c), "{}", c.escape_unicode());
        }
    }
}
