//! Finished messages in the ledger, as many as wanted, made by the server itself.

use std::time::Duration;

use super::site::Site;

/// Rows in one statement.
const STEP: u64 = 250_000;

/// As a delivered message of the load generator lies in the archive: in this month and the last one, of a thousand customers,
/// by ids in the order of time, with its text.
const FILL: &str = "INSERT INTO naru.archive (row, token, incarnation, wake_at, expires_at, accepted_at, send_at, sent_at, \
       final_at, day, units, attempt, revision, state, code, charge, lane, sandbox, possible_duplicate, id, fingerprint, \
       customer, route, channel, recipient, key, reference, backend_id, detail, message) \
     SELECT -n, hashint8(n), NULL, NULL, at + 600000, at, NULL, at + 5, at + 9, (at / 86400000)::integer, 1, 1, 1, 10, 0, 2, \
       0, false, false, int8send(at * 65536 + (n & 65535)) || int8send(hashint8extended(n, 7)), \
       int8send(hashint8extended(n, 1)) || int8send(hashint8extended(n, 2)), 'c' || (1000 + n % 1000), 'demo', 'sms', \
       '+8210' || lpad((n % 100000000)::text, 8, '0'), NULL, 'order-' || n, NULL, 'the backend took it', \
       '{\"id\":\"msg_' || md5(n::text) || '\",\"fingerprint\":\"' || md5(n::text) || '\",\"units\":1,\"accepted_at\":' || at || \
       ',\"channel\":\"sms\",\"recipient\":\"+821000000000\",\"sender\":\"0215441234\",\"body\":\"' || repeat('Your parcel is here. ', 8) || \
       '\",\"reference\":\"order-' || n || '\"}' \
     FROM (SELECT n, BEGINS + n * SPAN / COUNT AS at FROM generate_series(FROM_N::bigint, TO_N::bigint) AS n) AS s";

/// What they were charged, so that every unit used is one of a message.
const CHARGE: &str = "INSERT INTO naru.usage (customer, day, channel, used, credited) \
     SELECT customer, day, channel, sum(units), 0 FROM naru.archive WHERE row < 0 GROUP BY 1, 2, 3";

/// Makes so many; `say` is told how it goes. The partitions of both months must be there.
pub(super) fn fill(site: &Site, count: u64, say: &mut dyn FnMut(&str)) -> anyhow::Result<Duration> {
    let began = std::time::Instant::now();
    let psql = |statement: &str| site.deployment.psql(statement);
    // Thirty days until an hour ago: what was accepted in the last month lies beside what was in this one.
    let ends = "(extract(epoch FROM now()) * 1000)::bigint - 3600000";
    let begins = format!("({ends} - 30 * 86400000::bigint)");
    psql(PARTITION)?;
    let mut from = 1;
    while from <= count {
        let to = (from + STEP - 1).min(count);
        let statement = FILL
            .replace("BEGINS", &begins)
            .replace("SPAN", "(30 * 86400000::bigint)")
            .replace("COUNT", &count.to_string())
            .replace("FROM_N", &from.to_string())
            .replace("TO_N", &to.to_string());
        psql(&statement)?;
        if to.is_multiple_of(1_000_000) || to == count {
            say(&format!("k: {to} of {count} finished messages are in the archive"));
        }
        from = to + 1;
    }
    psql(CHARGE)?;
    psql("VACUUM ANALYZE naru.archive")?;
    psql("CHECKPOINT")?;
    Ok(began.elapsed())
}

/// The partition of the last month: the program makes this one's and the next one's.
const PARTITION: &str = "DO $$ DECLARE b timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1 month'; \
     e timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'; \
     t text := 'archive_' || to_char(b AT TIME ZONE 'UTC', 'YYYY_MM'); BEGIN \
     IF to_regclass('naru.' || t) IS NULL THEN \
       EXECUTE format('CREATE TABLE naru.%I (LIKE naru.archive INCLUDING ALL) WITH (fillfactor = 95)', t); \
       EXECUTE format('ALTER TABLE naru.archive ATTACH PARTITION naru.%I FOR VALUES FROM (%s) TO (%s)', t, \
         (extract(epoch FROM b) * 1000)::bigint, (extract(epoch FROM e) * 1000)::bigint); \
     END IF; END $$";
