//! One reader of foreign bytes, which the variable `NARU_READER` names, under libFuzzer.

#![no_main]

use std::{env, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use naru_shared::foreign::Reader;

mod all;

static READER: LazyLock<&Reader> = LazyLock::new(|| {
    let name = env::var("NARU_READER").unwrap_or_default();
    let names: Vec<&str> = all::readers().map(|reader| reader.name).collect();
    #[expect(clippy::panic, reason = "a target has no other way to say that it cannot begin")]
    all::readers()
        .find(|reader| reader.name == name)
        .unwrap_or_else(|| panic!("NARU_READER is one of {names:?}"))
});

fuzz_target!(|bytes: &[u8]| {
    (READER.read)(bytes);
});
