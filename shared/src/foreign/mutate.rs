//! Good bytes with something done to them.

use fastrand::Rng;

/// Longer than this nothing grows: what reads it has a bound below that.
const LONGEST: usize = 1 << 16;

/// What parsers of texts stumble over.
const TOKENS: [&[u8]; 34] = [
    b"\"",
    b"'",
    b",",
    b";",
    b":",
    b"=",
    b".",
    b"..",
    b"/",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"%00",
    b"%2e",
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b"(",
    b")",
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    "\u{202e}".as_bytes(),
    "가".as_bytes(),
];

/// Numbers at the ends of what types hold.
const NUMBERS: [&str; 9] = [
    "0",
    "-0",
    "255",
    "65536",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "0.1",
];

/// One of the samples, changed once or a few times.
///
/// # Panics
/// If there is no sample.
#[must_use]
pub fn mutated(rng: &mut Rng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[rng.usize(..samples.len())].clone();
    for _ in 0..rng.usize(1..=4) {
        change(rng, &mut bytes, samples);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
    // The end is a place of its own: what is cut there is what parsers forget.
    let at = if rng.u8(..8) == 0 { bytes.len() } else { rng.usize(..=bytes.len()) };
    let part = part(rng, bytes.len());
    match rng.u8(..12) {
        0 => flip(rng, bytes),
        1 => set(rng, bytes),
        2 => drop(bytes.drain(part)),
        3 => repeat(bytes, at, part),
        4 | 5 => insert(bytes, at, rng.choice(TOKENS).unwrap_or_default()),
        6 => splice(rng, bytes, samples),
        7 => bytes.truncate(at),
        8 => number(rng, bytes),
        9 => {
            bytes[part].iter_mut().for_each(|byte| *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 })
        }
        10 => long_run(rng, bytes, at),
        _ => nest(rng, bytes),
    }
}

/// A part of so many bytes, mostly a short one.
fn part(rng: &mut Rng, of: usize) -> std::ops::Range<usize> {
    let begin = rng.usize(..=of);
    let most = if rng.bool() { 4 } else { of };
    begin..(begin + rng.usize(..=most)).min(of)
}

fn repeat(bytes: &mut Vec<u8>, at: usize, part: std::ops::Range<usize>) {
    let again = bytes[part].to_vec();
    insert(bytes, at, &again);
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    if let Some(byte) = rng.choice(bytes) {
        *byte ^= 1 << rng.u8(..8);
    }
}

fn set(rng: &mut Rng, bytes: &mut [u8]) {
    let to = rng.u8(..);
    if let Some(byte) = rng.choice(bytes) {
        *byte = to;
    }
}

/// The beginning of one sample and the end of another.
fn splice(rng: &mut Rng, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
    bytes.truncate(rng.usize(..=bytes.len()));
    let other = &samples[rng.usize(..samples.len())];
    bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
}

/// One of its numbers becomes another.
fn number(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let begins: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit()))
        .collect();
    let Some(begin) = rng.choice(begins) else { return };
    let end =
        bytes[begin..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |n| begin + n);
    bytes.splice(begin..end, rng.choice(NUMBERS).unwrap_or_default().bytes());
}

/// A byte that is there, many times over.
fn long_run(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let Some(byte) = bytes.get(at).copied() else { return };
    insert(bytes, at, &vec![byte; rng.usize(..=5_000)]);
}

/// All of it, deep inside.
fn nest(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let (open, close) =
        rng.choice([(&b"["[..], &b"]"[..]), (b"{\"a\":", b"}"), (b"(", b")")]).unwrap_or_default();
    let depth = rng.usize(1..=40);
    *bytes = [&open.repeat(depth), &bytes[..], &close.repeat(depth)].concat();
}
