//! No query on the way of a message reads a table from end to end.

use anyhow::{Context, ensure};
use naru_shared::{
    ledger::{postgres_callback_statements, postgres_statements},
    postgres::PostgresSettings,
};

use crate::{
    postgres::{database, psql},
    stage::beside_others,
};

/// Finished, waiting, sending and archived messages, events, reports, as a large ledger has them.
const FILL: &str = "SET search_path = naru;
CREATE TABLE archive_2026_03 (LIKE archive INCLUDING ALL);
ALTER TABLE archive ATTACH PARTITION archive_2026_03 FOR VALUES FROM (0) TO (2000000000000);
INSERT INTO message (id, fingerprint, token, customer, sandbox, channel, recipient, route, lane, state, units, charge, day, attempt,
    possible_duplicate, expires_at, accepted_at, wake_at, incarnation, final_at, revision)
SELECT decode(md5(i::text), 'hex'), decode(md5(i::text), 'hex'), 1, 'c' || i % 50, false, 'sms', '+82', 'r' || i % 5, i % 2,
    CASE WHEN i <= 100000 THEN 10 WHEN i <= 120000 THEN 1 WHEN i <= 121000 THEN 3 WHEN i <= 122000 THEN 4 ELSE 7 END,
    1, 2, 20260310, 1, false, i, i, CASE WHEN i > 100000 THEN i END, CASE WHEN i BETWEEN 120001 AND 121000 THEN i % 7 END,
    CASE WHEN i <= 100000 THEN i END, 1 FROM generate_series(1, 123000) AS i;
INSERT INTO content (row, message) SELECT row, '{}' FROM message;
INSERT INTO archive (row, token, expires_at, accepted_at, final_at, day, units, attempt, revision, state, charge, lane, sandbox,
    possible_duplicate, id, fingerprint, customer, route, channel, recipient, message)
SELECT 1000000 + i, 1, i, i, i, 20260310, 1, 1, 1, 10, 2, 0, false, false, decode(md5('a' || i::text), 'hex'), '\\x00', 'c' || i % 50,
    'r', 'sms', '+82', '{}' FROM generate_series(1, 100000) AS i;
INSERT INTO unread (free_at, revision, sandbox, id, customer) SELECT i, 1, false, decode(md5(i::text), 'hex'), 'c' || i % 50
    FROM generate_series(1, 100000) AS i;
INSERT INTO usage (used, credited, day, customer, channel) SELECT 1, 0, i, 'c' || c, 'sms'
    FROM generate_series(1, 400) AS i, generate_series(1, 50) AS c;
INSERT INTO opt_out (since, recipient, customer, channel) SELECT i, '+82' || i, CASE WHEN i % 3 = 0 THEN '*' ELSE 'c' || i % 50 END, '*'
    FROM generate_series(1, 100000) AS i;
INSERT INTO outbox (free_at, event) SELECT i, '{}' FROM generate_series(1, 20000) AS i;
INSERT INTO attempt_note (message, at, attempt, late, outcome, detail) SELECT i, i, 1, false, 'x', '' FROM generate_series(1, 20000) AS i;
INSERT INTO report_history (message, at, revision, report) SELECT i, i, 1, '{}' FROM generate_series(1, 20000) AS i;
INSERT INTO early_report (route, digest, notice, since, until, look_at) SELECT 'r' || i % 50, i, '{}', i, i, i
    FROM generate_series(1, 20000) AS i;
INSERT INTO earlier_sending (at, attempt, id, route, backend_id) SELECT i, 1, decode(md5(i::text), 'hex'), 'r' || i % 50, i
    FROM generate_series(1, 20000) AS i;
ANALYZE;";

fn parameters(statement: &str) -> usize {
    (1..100).rev().find(|number| statement.contains(&format!("${number}"))).unwrap_or(0)
}

/// The plan that a session of ours makes once for a statement, whatever it is given later.
fn plan(settings: &PostgresSettings, session: &str, name: &str, statement: &str) -> anyhow::Result<String> {
    let nulls = vec!["NULL"; parameters(statement)].join(", ");
    let values = if nulls.is_empty() { String::new() } else { format!("({nulls})") };
    let plan = psql(
        settings,
        &format!(
            "SET search_path = naru; SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1; {session} \
             PREPARE it AS {statement}; EXPLAIN EXECUTE it{values}"
        ),
    )
    .with_context(|| name.to_owned())?;
    ensure!(plan.contains("cost="), "{name}: {plan}");
    Ok(plan)
}

/// Whether a plan reads a table, or an index, from end to end. Few processes live at a time, few rules are in force, and
/// what came and ended is kept for two hours: theirs may be.
fn reads_whole(plan: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    lines.iter().enumerate().any(|(number, line)| {
        let few = ["on incarnation", "on stop_rule", "on flow"].iter().any(|table| line.contains(table));
        let whole_table = line.contains("Seq Scan on") && !few;
        let index = line.contains("Index Scan") || line.contains("Index Only Scan");
        let by_condition = lines.get(number + 1).is_some_and(|next| next.contains("Index Cond:"));
        whole_table || (index && !by_condition && !few)
    })
}

#[tokio::test]
async fn no_query_on_the_way_of_a_message_scans_in_postgres() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = database().await?;
    psql(&settings, FILL)?;
    let statements = postgres_statements();
    ensure!(statements.len() > 20);
    for (name, statement) in statements {
        let plan = plan(&settings, "", name, statement)?;
        ensure!(!reads_whole(&plan), "{name} reads a whole table:\n{plan}");
    }
    Ok(())
}

/// A session keeps its plans while the tables grow.
#[tokio::test]
async fn a_plan_made_while_the_tables_are_empty_serves_large_ones() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = database().await?;
    psql(
        &settings,
        "CREATE TABLE naru.archive_2026_03 (LIKE naru.archive INCLUDING ALL); \
        ALTER TABLE naru.archive ATTACH PARTITION naru.archive_2026_03 FOR VALUES FROM (0) TO (2000000000000)",
    )?;
    for (name, statement) in postgres_statements() {
        let session = "SET enable_seqscan = off; SET enable_mergejoin = off;";
        let plan = plan(&settings, session, name, statement)?;
        ensure!(!reads_whole(&plan), "{name} reads a whole table:\n{plan}");
    }
    Ok(())
}

/// Targets that are dead for days: nearly everything waits for hours, and next to nothing is due.
const DEAD_TARGETS: &str = "SET search_path = naru;
INSERT INTO callback (due, first_at, attempt, webhook, event, body) SELECT 2000000000000 + i, i, 9, 'acme/dead' || i % 5, 'msg_' || i, '{}'
    FROM generate_series(1, 100000) AS i;
INSERT INTO callback (due, first_at, attempt, webhook, event, body) SELECT i, i, 0, 'acme/well', 'msg_' || i, '{}'
    FROM generate_series(1, 10) AS i;
INSERT INTO callback_state (webhook, waiting, given_up, not_kept) SELECT webhook, count(*), 0, 0 FROM callback GROUP BY webhook;
ANALYZE;";

/// As our sessions do it.
const SESSION: &str = "SET search_path = naru; SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1; \
     SET enable_seqscan = off; SET enable_mergejoin = off;";

#[tokio::test]
async fn callbacks_that_are_not_due_cost_nobody_who_looks_for_those_that_are() -> anyhow::Result<()> {
    let _beside = beside_others();
    let settings = database().await?;
    psql(&settings, DEAD_TARGETS)?;
    for (name, statement) in postgres_callback_statements() {
        let plan = plan(&settings, SESSION, name, statement)?;
        let lines: Vec<&str> = plan.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_of_rows = line.contains(" on callback ")
                || line.contains("callback_pkey")
                || line.contains("callback_turn");
            let by_condition = lines.get(number + 1).is_some_and(|next| next.contains("Index Cond:"));
            let is_change = line.contains("Update on") || line.contains("Delete on");
            ensure!(!is_of_rows || is_change || by_condition, "{name} reads more than it needs:\n{plan}");
        }
    }
    // And what is read in truth: the pages of an index's way down, and those of the ten rows.
    let (now, until) = (1_900_000_000_000_i64, 1_900_000_060_000_i64);
    let well = "ARRAY['acme/well', 'acme/dead1']";
    for (name, values) in [
        ("claim of these", format!("{well}, ARRAY[100, 100], {now}, 100, {until}")),
        ("claim of others", format!("ARRAY['acme/dead2'], 100, {now}, 100, {until}, 'acme/dead4'")),
        ("earliest of these", well.to_owned()),
        ("earliest of others", "ARRAY['acme/well']".to_owned()),
    ] {
        let statements = postgres_callback_statements();
        let (_, statement) = statements.iter().find(|(known, _)| *known == name).context(name)?;
        let told = psql(
            &settings,
            &format!(
                "{SESSION} BEGIN; PREPARE it AS {statement}; EXPLAIN (ANALYZE, BUFFERS) EXECUTE it({values}); ROLLBACK"
            ),
        )?;
        let pages = pages(&told).with_context(|| told.clone())?;
        println!("{name}: {pages} pages");
        ensure!(pages < 300, "{name} read {pages} pages:\n{told}");
        let rows = if name.starts_with("claim") { "rows=10 " } else { "rows=1 " };
        let first = told.lines().find(|line| line.contains("actual time")).context("a plan")?;
        ensure!(
            first.rsplit("actual time").next().is_some_and(|rest| rest.contains(rows)),
            "{name}:\n{told}"
        );
    }
    Ok(())
}

/// Pages that a statement touched, as the uppermost step of its plan tells.
fn pages(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.trim_start().starts_with("Buffers:"))?;
    let counts = line.split_whitespace().filter_map(|word| word.split_once('='));
    Some(
        counts
            .filter(|(what, _)| ["hit", "read"].contains(what))
            .filter_map(|(_, count)| count.parse::<u64>().ok())
            .sum(),
    )
}
