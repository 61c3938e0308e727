//! What a sync costs on this disk: the floor under every durable answer.

use std::{fs::File, io::Write, path::Path, time::Instant};

use hdrhistogram::Histogram;

use crate::load::Percentiles;

/// Percentiles of `fdatasync` after an append of 4 KiB to a file in `dir`.
///
/// # Errors
/// If the file cannot be written.
pub fn percentiles(dir: &Path, times: usize) -> anyhow::Result<Percentiles> {
    let path = dir.join("fsync-probe");
    let mut file = File::create(&path)?;
    let mut histogram = Histogram::<u64>::new(3)?;
    for _ in 0..times {
        file.write_all(&[7; 4_096])?;
        let began = Instant::now();
        file.sync_data()?;
        histogram.record(u64::try_from(began.elapsed().as_nanos())?)?;
    }
    std::fs::remove_file(&path)?;
    Ok(Percentiles::of(&histogram))
}
