//! Every reader of every crate.

use naru_shared::foreign::Reader;

pub(crate) fn readers() -> impl Iterator<Item = &'static Reader> {
    let crates =
        [naru_ingress::foreign::READERS, naru_shared::foreign::READERS, naru_workers::foreign::READERS];
    crates.into_iter().flatten()
}
