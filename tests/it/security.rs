//! What is tried against Naru, as docs/security.md lists it: framing, size and time, paths, headers, bodies and batches over plain sockets, and what no
//! other suite shows of credentials, tenants, money and calls outward. Each test is one thing that is tried; what holds for every answer and after every test
//! of the first kind is in `stage`.

mod basic;
mod batch;
mod body;
mod egress;
mod framing;
mod headers;
mod index;
mod jwt;
mod keys;
mod money;
mod paths;
mod signatures;
mod size;
mod stage;
mod tenancy;
