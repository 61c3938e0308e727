//! Korean carriers' bounds: bytes of EUC-KR in the extent that handsets know, code page 949.

use encoding_rs::{EUC_KR, EncoderResult};
use naru_shared::domain::Content;

use crate::problem::{Code, Problem};

/// Bytes of a short message, of a long one, and of a long one's title.
const SHORT: usize = 90;
const LONG: usize = 2_000;
const TITLE: usize = 40;

/// Whether a message keeps to the bounds of its channel. Of an operator's own channel nothing is asked.
pub(super) fn fits(content: &Content) -> Result<(), Problem> {
    let (channel, most) = match content.channel.as_str() {
        "sms" => ("sms", SHORT),
        "lms" => ("lms", LONG),
        "mms" => ("mms", LONG),
        _ => return Ok(()),
    };
    let length = bytes(&content.body).map_err(|c| unwritable("text", c))?;
    if length > most {
        let longer = if channel == "sms" { "; the channel lms takes up to 2000" } else { "" };
        let sentence = format!("The text has {length} bytes in EUC-KR, {channel} takes {most}{longer}.");
        return Err(Problem::new(Code::TextTooLong, sentence));
    }
    let Some(subject) = content.subject.as_deref().filter(|subject| !subject.is_empty()) else {
        return Ok(());
    };
    if channel == "sms" {
        let sentence = "sms carries no subject; the channel lms does.";
        return Err(Problem::new(Code::InvalidSubject, sentence));
    }
    let length = bytes(subject).map_err(|c| unwritable("subject", c))?;
    if length > TITLE {
        let sentence = format!("The subject has {length} bytes in EUC-KR, {channel} takes {TITLE}.");
        return Err(Problem::new(Code::InvalidSubject, sentence));
    }
    Ok(())
}

/// The bytes of a text, or the first character that cannot be written.
fn bytes(text: &str) -> Result<usize, char> {
    if text.is_ascii() {
        return Ok(text.len());
    }
    let mut encoder = EUC_KR.new_encoder();
    let (mut rest, mut length, mut out) = (text, 0_usize, [0_u8; 1_024]);
    loop {
        let (result, read, written) = encoder.encode_from_utf8_without_replacement(rest, &mut out, true);
        length += written;
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return Ok(length),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(c) => return Err(c),
        }
    }
}

fn unwritable(what: &str, c: char) -> Problem {
    let sentence = format!(
        "The {what} has a character that EUC-KR cannot write (U+{:04X}), and no channel of this route can, lms neither; leave it out.",
        u32::from(c)
    );
    Problem::new(Code::TextNotWritable, sentence)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use proptest::prelude::{prop_assert, proptest};

    use super::*;
    use crate::accept::units::tests::content;

    #[test]
    fn ninety_bytes_are_a_short_message() {
        let code = |channel: &str, body: &str, subject: Option<&str>| {
            let mut content = content(channel, body);
            content.subject = subject.map(str::to_owned);
            fits(&content).map_err(|problem| problem.code)
        };
        assert_eq!(code("sms", &"가".repeat(45), None), Ok(()));
        assert_eq!(code("sms", &format!("{}a", "가".repeat(45)), None), Err(Code::TextTooLong));
        assert_eq!(code("sms", &"a".repeat(90), None), Ok(()));
        assert_eq!(code("sms", &"a".repeat(91), None), Err(Code::TextTooLong));
        assert_eq!(code("lms", &"가".repeat(1_000), None), Ok(()));
        assert_eq!(code("mms", &format!("{}a", "가".repeat(1_000)), None), Err(Code::TextTooLong));
        assert_eq!(code("lms", "x", Some(&"제".repeat(20))), Ok(()));
        assert_eq!(code("lms", "x", Some(&format!("{}a", "제".repeat(20)))), Err(Code::InvalidSubject));
        assert_eq!(code("sms", "x", Some("제")), Err(Code::InvalidSubject));
        assert_eq!(code("sms", "x", Some("")), Ok(()));
        assert_eq!(code("sms", "😀", None), Err(Code::TextNotWritable));
        assert_eq!(code("lms", "x", Some("日本語é")), Err(Code::TextNotWritable), "é is not in it");
        assert_eq!(code("push", &"😀".repeat(5_000), None), Ok(()));
    }

    #[test]
    fn a_text_that_is_too_long_is_told_of_lms() {
        let short = fits(&content("sms", &"가".repeat(46))).unwrap_err();
        assert_eq!(
            short.detail,
            "The text has 92 bytes in EUC-KR, sms takes 90; the channel lms takes up to 2000."
        );
        let long = fits(&content("lms", &"가".repeat(1_001))).unwrap_err();
        assert_eq!(long.detail, "The text has 2002 bytes in EUC-KR, lms takes 2000.");
    }

    proptest! {
        #[test]
        fn bytes_never_fall_when_text_is_appended(a in "[ -~가-힣一-鿿]{0,60}", b in "[ -~가-힣😀]{0,20}") {
            if let (Ok(one), Ok(both)) = (bytes(&a), bytes(&format!("{a}{b}"))) {
                prop_assert!(both >= one);
            }
        }
    }

    /// What Python's own codec of code page 949 says of each line: its bytes, or `-`.
    const PYTHON: &str = "
import sys
for line in sys.stdin.buffer.read().decode('utf-8').split('\\x1e'):
    try: print(len(line.encode('cp949')))
    except UnicodeEncodeError: print('-')
";

    /// Every character of the Basic Multilingual Plane by itself, and texts of many.
    #[test]
    fn bytes_are_those_that_another_s_codec_of_code_page_949_writes() {
        let mut texts: Vec<String> =
            ('\0'..='\u{ffff}').filter(|c| *c != '\u{1e}').map(String::from).collect();
        texts.push("😀".to_owned());
        let mut state = 7_u64;
        let mut random = |most: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 33).unwrap() % most
        };
        for _ in 0..2_000 {
            let length = random(1_100);
            let syllable = |n: u32| char::from_u32(0xac00 + n % 11_172).unwrap();
            texts.push(
                (0..length).map(|_| if random(4) == 0 { 'a' } else { syllable(random(11_172)) }).collect(),
            );
        }
        let mut python = Command::new("python3")
            .args(["-c", PYTHON])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = python.stdin.take().unwrap();
        let all = texts.join("\u{1e}");
        let writing = std::thread::spawn(move || stdin.write_all(all.as_bytes()));
        let output = python.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.len(), texts.len());
        let mut differ = Vec::new();
        for (text, said) in texts.iter().zip(said) {
            let ours = bytes(text).map_or_else(|_| "-".to_owned(), |length| length.to_string());
            if ours != said {
                differ.push((text.chars().next(), ours, said));
            }
        }
        assert!(differ.is_empty(), "{} differ, such as {:?}", differ.len(), &differ[..differ.len().min(20)]);
    }
}
