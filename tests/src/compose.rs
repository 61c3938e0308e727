//! What `compose/` describes, with processes in place of containers, out of the very files that the containers read.

mod balancing;
mod command;
mod site;
mod topology;

use std::path::{Path, PathBuf};

pub use balancing::haproxy;
pub use command::{Wish, run};
pub use site::{On, Site};
pub use topology::{OF_INGRESS, Topology};

/// The directory `compose/`.
#[must_use]
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose")
}
