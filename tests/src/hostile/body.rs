//! What can be done to a body of JSON.

use super::call::{Call, Deed, Done, Target};

/// All of it, by name.
pub const DEEDS: &[(&str, Deed)] = &[
    ("a byte flipped", flipped),
    ("bytes put in", put_in),
    ("bytes behind", behind),
    ("a mark before", mark),
    ("deep", deep),
    ("a member twice", twice),
    ("no UTF-8", no_utf8),
    ("half a surrogate", half_surrogate),
    ("a NUL", nul),
    ("a number out of range", number),
    ("another type", wrong_type),
    ("a member that is not known", unknown),
    ("many members", many),
    ("too large", large),
    ("no JSON", no_json),
];

/// Puts a member into the (first) message, or into whatever object there is.
fn member(call: &mut Call, text: &[u8]) -> Option<()> {
    if !call.is_json() {
        return None;
    }
    let messages = call.body.windows(12).position(|window| window == b"\"messages\":[");
    let at = messages.map_or(1, |at| at + 13);
    if at > call.body.len() {
        return None;
    }
    call.body.splice(at..at, [text, b","].concat());
    Some(())
}

/// What is wrong in one of many leaves the others as they are.
fn done(call: &Call) -> Done {
    if call.path.contains("/batch") || call.path.starts_with("/callbacks") {
        Done::Open
    } else {
        Done::Refused
    }
}

fn flipped(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let at = rng.usize(0..call.body.len().max(1));
    *call.body.get_mut(at)? ^= 1 << rng.u8(0..8);
    Some(Done::Open)
}

fn put_in(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let bytes: Vec<u8> = (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect();
    let at = rng.usize(0..=call.body.len());
    call.reads_body.then(|| call.body.splice(at..at, bytes).count())?;
    Some(Done::Open)
}

fn behind(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let more = rng.choice(["{}", "x", "\0", ",", "]", "}"])?;
    call.is_json().then(|| call.body.extend_from_slice(more.as_bytes()))?;
    Some(Done::Refused)
}

fn mark(call: &mut Call, _: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    call.is_json().then(|| call.body.splice(0..0, *b"\xef\xbb\xbf").count())?;
    Some(Done::Refused)
}

fn deep(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let depth = *rng.choice(&[33, 64, 1_000, 50_000])?;
    let (open, close) = if rng.bool() { ("[", "]") } else { ("{\"a\":", "}") };
    let inside = if open == "[" { "" } else { "1" };
    let deep = format!("\"data\":{{\"d\":{}{inside}{}}}", open.repeat(depth), close.repeat(depth));
    member(call, deep.as_bytes())?;
    Some(done(call))
}

fn twice(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !call.path.ends_with("/messages") {
        return None;
    }
    let again =
        ["\"body\":\"b\"", "\"b\\u006fdy\":\"b\"", "\"channel\":\"sms\"", "\"data\":{\"x\":1,\"x\":2}"];
    member(call, rng.choice(again)?.as_bytes())?;
    Some(Done::Refused)
}

fn no_utf8(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let bytes: [&[u8]; 5] = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"];
    let text = [b"\"subject\":\"".as_slice(), rng.choice(bytes)?, b"\""].concat();
    member(call, &text)?;
    Some(done(call))
}

fn half_surrogate(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let half = rng.choice(["\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud83dx"])?;
    member(call, format!("\"subject\":\"{half}\"").as_bytes())?;
    Some(done(call))
}

fn nul(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let nul = rng.choice([
        "\"subject\":\"a\\u0000b\"",
        "\"data\":{\"a\\u0000\":1}",
        "\"data\":{\"a\":[\"\\u0000\"]}",
    ])?;
    member(call, nul.as_bytes())?;
    Some(done(call))
}

fn number(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let numbers =
        ["-1", "0", "1.5", "1e999", "9223372036854775808", "2592001", "-0", "99999999999999999999999999"];
    replace(call, "\"ttl\":600", &format!("\"ttl\":{}", rng.choice(numbers)?))?;
    Some(done(call))
}

/// Changes what the message says, once.
fn replace(call: &mut Call, what: &str, by: &str) -> Option<()> {
    let text = String::from_utf8(call.body.clone()).ok()?;
    text.contains(what).then(|| call.body = text.replacen(what, by, 1).into_bytes())
}

fn wrong_type(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let wrong = ["true", "[]", "{}", "7", "[\"a\"]", "{\"a\":1}"];
    let (name, good) = *rng.choice(&[
        ("channel", "\"sms\""),
        ("recipient", "\"+821012345600\""),
        ("sender", "\"0215441234\""),
        ("lane", "\"bulk\""),
        ("ttl", "600"),
    ])?;
    let wrong = rng.choice(wrong)?;
    if name == "ttl" && wrong == "7" {
        return None;
    }
    replace(call, &format!("\"{name}\":{good}"), &format!("\"{name}\":{wrong}"))?;
    Some(done(call))
}

fn unknown(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let names = [
        "customer",
        "price",
        "attempts",
        "units",
        "charged",
        "id",
        "status",
        "route",
        "environment",
        "__proto__",
        "Body",
        "",
    ];
    member(call, format!("\"{}\":\"x\"", rng.choice(names)?).as_bytes())?;
    Some(done(call))
}

fn many(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    // A megabyte each time would leave no time for anything else.
    if rng.u8(0..16) != 0 {
        return None;
    }
    let members: Vec<String> = (0..20_000).map(|number| format!("\"k{number}\":0")).collect();
    member(call, members.join(",").as_bytes())?;
    Some(done(call))
}

fn large(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if rng.u8(0..16) != 0 || call.path.contains("/batch") {
        return None;
    }
    member(call, format!("\"subject\":\"{}\"", "a".repeat(300_000)).as_bytes())?;
    Some(Done::Refused)
}

fn no_json(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !call.is_json() {
        return None;
    }
    let none = [
        "",
        "null",
        "NaN",
        "{'a':1}",
        "// a\n{}",
        "<a/>",
        "[",
        "\"",
        "{\"a\":}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "[1,]",
        "\u{feff}",
    ];
    call.body = rng.choice(none)?.as_bytes().to_vec();
    Some(Done::Refused)
}
