//! The process `naru`.

use std::process::ExitCode;

use naru_cli::decorations::Decorations;

/// Smaller and faster than the system's for many small, short-lived pieces on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    naru_cli::main(Decorations::default())
}
