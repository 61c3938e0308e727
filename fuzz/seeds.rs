//! Writes what each reader takes to `corpus/READER/`, and prints the readers' names.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

mod all;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut told = io::stdout().lock();
    for reader in all::readers() {
        let folder = corpus.join(reader.name);
        fs::create_dir_all(&folder)?;
        for (number, sample) in (reader.samples)().iter().enumerate() {
            fs::write(folder.join(format!("sample-{number}")), sample)?;
        }
        writeln!(told, "{}", reader.name)?;
    }
    Ok(())
}
