//! What this crate reads of calls, as functions over bytes: see [`naru_shared::foreign`].

mod bodies;
mod heads;

use naru_shared::foreign::Reader;

/// All of them.
pub const READERS: &[Reader] = &[
    Reader { name: "basic", samples: heads::basic_samples, read: heads::basic },
    Reader { name: "token", samples: heads::token_samples, read: heads::token },
    Reader { name: "token_claims", samples: heads::claims_samples, read: heads::claims },
    Reader { name: "signature", samples: heads::signature_samples, read: heads::signature },
    Reader { name: "content_digest", samples: heads::digest_samples, read: heads::digest },
    Reader { name: "idempotency_key", samples: heads::key_samples, read: heads::key },
    Reader { name: "simulate", samples: heads::simulate_samples, read: heads::simulate },
    Reader { name: "traceparent", samples: heads::trace_samples, read: heads::trace },
    Reader { name: "forwarded", samples: heads::forwarded_samples, read: heads::forwarded },
    Reader { name: "proxy_protocol", samples: heads::proxy_samples, read: heads::proxy },
    Reader { name: "query", samples: heads::query_samples, read: heads::query },
    Reader { name: "strict_json", samples: bodies::json_samples, read: bodies::json },
    Reader { name: "message", samples: bodies::message_samples, read: bodies::message },
    Reader { name: "batch", samples: bodies::batch_samples, read: bodies::batch },
    Reader {
        name: "acknowledgement",
        samples: bodies::acknowledgement_samples,
        read: bodies::acknowledgement,
    },
    Reader { name: "token_request", samples: bodies::token_request_samples, read: bodies::token_request },
];

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_calls_takes_its_samples_and_neither_panics_nor_makes_anything_up() {
        naru_shared::foreign::try_all(READERS);
    }
}
