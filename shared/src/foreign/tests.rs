use std::panic::catch_unwind;

use super::*;

#[test]
fn what_reads_foreign_bytes_takes_its_samples_and_neither_panics_nor_makes_anything_up() {
    try_all(READERS);
}

fn holds(what: bool) -> bool {
    assert!(what);
    true
}

/// Faults that parsers have had, each of them planted.
const PLANTED: [Reader; 6] = [
    planted("zero byte", |bytes| holds(!bytes.contains(&0))),
    planted("too deep", |bytes| holds(bytes.split(|byte| *byte == b'[').count() < 32)),
    planted("too long", |bytes| holds(bytes.len() < 4_096)),
    planted("cut character", |bytes| holds(str::from_utf8(bytes).is_ok())),
    planted("beyond 64 bits", |bytes| {
        holds(!bytes.escape_ascii().to_string().contains("18446744073709551616"))
    }),
    planted("cut escape", |bytes| holds(!bytes.ends_with(b"\\"))),
];

const fn planted(name: &'static str, read: fn(&[u8]) -> bool) -> Reader {
    Reader { name, samples: || readers::texts(&["{\"a\": [1, 2], \"b\": \"가\"}", "a=5&b=%20"]), read }
}

#[test]
fn a_fault_that_is_planted_is_found() {
    for reader in &PLANTED {
        assert!(catch_unwind(|| try_out(reader, 2)).is_err(), "{} was not found", reader.name);
    }
}

#[test]
fn what_is_no_sample_any_more_is_told() {
    let strict = Reader { read: |_| false, ..planted("takes nothing", |_| true) };
    assert!(catch_unwind(|| try_out(&strict, 3)).is_err());
}
