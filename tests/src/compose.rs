//! What `compose/` describes, with processes in place of containers, out of the very files that the containers read.

mod site;

pub use site::{Site, source};
