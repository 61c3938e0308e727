//! What is tried against the door of customers, over plain sockets: framing, size and time, paths, headers, bodies, batches. Each test is one thing
//! that is tried; what holds for every answer and after every test is in `stage`.

mod batch;
mod body;
mod framing;
mod headers;
mod paths;
mod size;
mod stage;
