//! A route into a table on PostgreSQL, end to end: accepted, inserted, taken by a carrier, told, collected; beside raw inserts of the
//! same rows into the same table of the same server.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};

use super::{
    cpu,
    stage::{counter, gateway, load, per_1000},
    table::Table,
};
use crate::{
    engines::Postgres,
    gateway::{Programs, RouteSpec},
    load::Call,
};

/// Messages in a call, and rows in a raw transaction: as many as the backend puts into one.
const GROUP: usize = 512;

/// What the raw table is like, with the indexes that the gateway makes.
const RAW: &str = "CREATE TABLE raw_message (LIKE naru_message INCLUDING ALL)";
const RAW_INSERT: &str = "INSERT INTO raw_message (msg_key, channel, recipient, sender, body, lane, expires_at, created_at) \
     SELECT k, 'sms', r, '0215441234', b, 'express', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC' \
     FROM unnest($1::text[], $2::text[], $3::text[]) AS e (k, r, b)";

/// A carrier with nothing but a client of PostgreSQL: takes what is ready, and tells at once that all of it was delivered.
const CARRY: &str = "UPDATE naru_message SET status = 'DONE', result_code = '0', report_rev = report_rev + 1, \
       submitted_at = now() AT TIME ZONE 'UTC', reported_at = now() AT TIME ZONE 'UTC' \
     WHERE msg_key IN (SELECT msg_key FROM naru_message WHERE status = 'READY' LIMIT 2000 FOR UPDATE SKIP LOCKED)";

/// How long what was accepted may take to be told of.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures it with so many messages.
///
/// # Errors
/// If it cannot be done, or not everything is told of in time.
pub(super) fn run(
    programs: &Programs,
    messages: usize,
    seconds: f64,
    table: &mut Table,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let server = Postgres::start()?;
    let url = server.database()?;
    let naru = gateway(RouteSpec::simulator("demo"), true)?;
    let add = ["route", "add", "carrier", "table", &url, "--concurrency", "4096", "--assign", "c0/text"];
    naru.verb(&add)?;
    say("l: raw inserts into a carrier's table");
    let raw = raw_inserts(&url, Duration::from_secs_f64(seconds))?;
    table.tell("(l) raw inserts, 512 rows a transaction, one connection", format!("{raw:.0} rows/s"));
    say(&format!("l: {messages} messages through a table"));
    let calls = messages.div_ceil(GROUP);
    let ends = AtomicBool::new(false);
    let pid = naru.pid()?;
    let (began, before) = (Instant::now(), cpu::nanos_of(pid));
    thread::scope(|scope| {
        let carrier = scope.spawn(|| carry(&url, &ends));
        let limits = [GROUP.to_string(), calls.to_string()];
        let arguments = [
            "--credential",
            &naru.users.live[0],
            "--channel",
            "text",
            "--batch",
            &limits[0],
            "--limit",
            &limits[1],
            "--connections",
            "4",
            "--warm-up",
            "0",
            "--seconds",
            "600",
        ];
        let told = load(programs, &naru.listen().to_string(), &arguments)
            .and_then(|load| Ok((load.accepted_in_all, all_told(&naru, load.accepted_in_all)?)));
        ends.store(true, Ordering::Relaxed);
        carrier.join().map_err(|_panic| anyhow::anyhow!("the carrier panicked"))??;
        let (accepted, ()) = told?;
        let took = began.elapsed();
        let spent = cpu::nanos_of(pid).saturating_sub(before);
        ensure!(accepted >= u64::try_from(messages)?, "{accepted} of {messages} messages were accepted");
        tell(table, accepted, took, raw, per_1000(spent, accepted));
        anyhow::Ok(())
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
fn tell(table: &mut Table, messages: u64, took: Duration, raw: f64, cpu: f64) {
    let rate = messages as f64 / took.as_secs_f64();
    let figure = format!(
        "{messages} in {:.1} s: {rate:.0} rows/s, {:.2} of raw, {cpu:.3} CPU s per 1,000 of Naru",
        took.as_secs_f64(),
        rate / raw
    );
    table.judge(
        "(l) accepted → a table on PostgreSQL → told by its carrier → collected",
        figure,
        "≥ 5,000 rows/s",
        rate >= 5_000.0,
    );
}

/// Returns when as many reports were collected.
#[expect(clippy::cast_precision_loss, reason = "a count below 2^52")]
fn all_told(naru: &crate::gateway::Gateway, messages: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = counter(naru, "naru_reports_collected_total")?;
        if told >= messages as f64 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{told} of {messages} reports were collected within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn carry(url: &str, ends: &AtomicBool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        while !ends.load(Ordering::Relaxed) {
            if sqlx::query(CARRY).execute(&mut connection).await?.rows_affected() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    })
}

/// Rows inserted in a second.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
fn raw_inserts(url: &str, span: Duration) -> anyhow::Result<f64> {
    let call = Call::message("text", 1);
    let text = |name: &str| {
        let text = call[name].as_str().map(str::to_owned);
        text.with_context(|| format!("the benchmark's message has a {name}"))
    };
    let (recipient, body) = (text("recipient")?, text("body")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(RAW).execute(&mut connection).await?;
        let (mut rows, began) = (0_usize, Instant::now());
        while began.elapsed() < span {
            let keys: Vec<String> = (rows..rows + GROUP).map(|number| format!("msg_{number:026}")).collect();
            let insert = sqlx::query(RAW_INSERT).bind(keys);
            insert
                .bind(vec![recipient.as_str(); GROUP])
                .bind(vec![body.as_str(); GROUP])
                .execute(&mut connection)
                .await?;
            rows += GROUP;
        }
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        sqlx::raw_sql("DROP TABLE raw_message").execute(&mut connection).await?;
        Ok(rate)
    })
}
