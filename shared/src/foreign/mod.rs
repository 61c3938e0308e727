//! What reads bytes that come from outside, each as one function over bytes: for the tests that change good bytes in every way, and for
//! the fuzz targets in `fuzz/`. It is part of no program: only tests and fuzz targets ask for the feature `foreign`.

mod mutate;
mod readers;
#[cfg(test)]
mod tests;

use std::{env, thread};

pub use mutate::mutated;
pub use readers::READERS;

/// The variable that says how many changed samples each reader is given.
pub const MUTATIONS: &str = "NARU_MUTATIONS";

/// The variable that says from which seed they are changed.
pub const SEED: &str = "NARU_SEED";

/// So many unless it is said: a few seconds for each crate, without optimisation.
const USUAL: u64 = 20_000;

/// One that reads such bytes.
pub struct Reader {
    /// Its name, which its fuzz target has too.
    pub name: &'static str,
    /// Bytes that it takes.
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Reads them, and says whether it takes them. Panics if anything comes out of them that never may.
    pub read: fn(&[u8]) -> bool,
}

/// What became of a reader's changed samples.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// It took them, and what came of it is as it should be.
    pub taken: u64,
    /// It refused them.
    pub refused: u64,
}

/// Tells which bytes made a reader panic.
struct Witness<'a> {
    name: &'a str,
    seed: u64,
    bytes: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { name, seed, bytes } = self;
            tracing::error!(reader = name, seed, bytes = %bytes.escape_ascii(), "panicked");
            // A test without a subscriber shows this.
            #[expect(clippy::print_stderr, reason = "the bytes are what is asked for")]
            {
                eprintln!("{name}, seed {seed}: {}", bytes.escape_ascii());
            }
        }
    }
}

/// Gives each reader its samples and what the seed of [`SEED`], else 1, makes of them; prints what became of them.
///
/// # Panics
/// If one takes none of them, or all, and as [`try_out`].
#[expect(clippy::print_stdout, reason = "how much was tried is what a test without a subscriber shows")]
pub fn try_all(readers: &[Reader]) {
    let seed = env::var(SEED).map_or(1, |text| text.parse().expect("a seed"));
    for reader in readers {
        let tried = try_out(reader, seed);
        println!("{}, seed {seed}: {tried:?}", reader.name);
        assert!(tried.refused > 0 && tried.taken > 0, "{}: {tried:?}", reader.name);
    }
}

/// Gives a reader its samples, which it must take, and then what a seed makes of them.
///
/// # Panics
/// If it does not take a sample, or as it does.
#[must_use]
pub fn try_out(reader: &Reader, seed: u64) -> Tried {
    let samples = (reader.samples)();
    for sample in &samples {
        assert!((reader.read)(sample), "{} does not take {}", reader.name, sample.escape_ascii());
    }
    let times = env::var(MUTATIONS).map_or(USUAL, |text| text.parse().expect("a number of mutations"));
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut tried = Tried::default();
    for _ in 0..times {
        let bytes = mutated(&mut rng, &samples);
        let witness = Witness { name: reader.name, seed, bytes: &bytes };
        let taken = (reader.read)(witness.bytes);
        *(if taken { &mut tried.taken } else { &mut tried.refused }) += 1;
    }
    tried
}
