//! One reader of foreign bytes, which the variable `NARU_READER` names, under libFuzzer.

#![no_main]

use std::{env, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use naru_shared::foreign::Reader;

static READER: LazyLock<&Reader> = LazyLock::new(|| {
    let mut readers = naru_ingress::foreign::READERS.iter().chain(naru_shared::foreign::READERS);
    let name = env::var("NARU_READER").unwrap_or_default();
    let names: Vec<&str> = readers.clone().map(|reader| reader.name).collect();
    #[expect(clippy::panic, reason = "a target has no other way to say that it cannot begin")]
    readers.find(|reader| reader.name == name).unwrap_or_else(|| panic!("NARU_READER is one of {names:?}"))
});

fuzz_target!(|bytes: &[u8]| {
    (READER.read)(bytes);
});
