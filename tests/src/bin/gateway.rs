//! The program `naru` with the decorators that the environment asks for.

use std::{io::Write, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match naru_tests::faults::from_environment() {
        Ok(decorations) => naru_cli::main(decorations),
        Err(error) => {
            // Nobody may be listening; the exit code says it too.
            drop(writeln!(std::io::stderr(), "gateway: {error:#}"));
            ExitCode::from(2)
        }
    }
}
