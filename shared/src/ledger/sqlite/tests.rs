use super::*;
use crate::{domain::State, outbox};

fn plan(connection: &rusqlite::Connection, query: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let nulls = vec![rusqlite::types::Null; explain.parameter_count()];
    let rows = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get("detail")).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn no_query_on_the_way_of_a_message_scans_or_sorts() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&dir.path().join("ledger.db")).unwrap();
    let plans = ledger.db.read(|c| {
        let queries = [
            take::READY,
            take::NEXT_CUSTOMER,
            take::READY_ROWS,
            find::WALK,
            forget::MESSAGES,
            forget::TEXTS,
            recovery::LOST,
            recovery::DUE,
            recovery::DUE_REPORTS,
            due::EARLIEST,
            due::EARLIEST_REPORT,
            reads::HAS_UNREAD,
            reads::UNREAD,
            notices::BY_BACKEND_ID,
            notices::BY_OUR_ID,
            notices::BY_EARLIER_BACKEND_ID,
            notices::BY_EARLIER_ROUTE,
            rows::KNOWN,
            rows::BY_NUMBER,
            change::BY_ID,
            usage::USED,
            settle::DELIVERED,
            settle::SENT,
            outbox::FREE,
            outbox::HAS_FREE,
        ];
        Ok(queries.map(|query| (query, plan(c, query))))
    });
    for (query, steps) in plans.await.unwrap() {
        assert!(!steps.is_empty(), "{query}");
        for step in steps {
            let bad = step.starts_with("SCAN message")
                || step.contains("TEMP B-TREE")
                || ["SCAN usage", "SCAN m", "SCAN e"].iter().any(|table| step.starts_with(table));
            assert!(!bad, "{query}: {step}");
        }
    }
}

#[test]
fn the_numbers_in_the_statements_are_the_domain_s() {
    let numbers = [
        State::Ready,
        State::Scheduled,
        State::Sending,
        State::Retrying,
        State::Held,
        State::Stopped,
        State::Sent,
        State::Delivered,
        State::Cancelled,
    ]
    .map(State::as_u8);
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 10, 14]);
}

#[tokio::test]
async fn what_an_operator_s_command_makes_ready_is_counted_by_the_server() {
    use crate::domain::{Account, Code, Content, Day, Environment, Fingerprint, IntakeToken, Lane, Message};
    use crate::ledger::{Disposition, IntakeEntry, LedgerDesk, Resolution};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (server, command) = (SqliteLedger::open(&path).unwrap(), SqliteLedger::open(&path).unwrap());
    let now = Timestamp::from_millis(1_760_000_000_000);
    let content = Content {
        channel: "sms".parse().unwrap(),
        recipient: "+82".into(),
        sender: None,
        subject: None,
        body: "b".into(),
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: None,
        send_at: None,
        ttl: None,
        simulate: None,
    };
    let message = Message {
        id: crate::domain::MessageId::from_bytes([1; 16]),
        key: None,
        fingerprint: Fingerprint::of(&content, Lane::Bulk),
        units: crate::domain::Units::ONE,
        accepted_at: now,
        traceparent: None,
        again: None,
        content,
    };
    let id = message.id;
    let entry = IntakeEntry {
        account: Account { customer: "acme".parse().unwrap(), environment: Environment::Live },
        route: "r".parse().unwrap(),
        lane: Lane::Bulk,
        day: Day::from_i32(20_251_009),
        disposition: Disposition::Hold(Code::Restored),
        class: None,
        quiet: std::time::Duration::ZERO,
        message: Arc::new(message),
    };
    let batch = IntakeBatch {
        token: IntakeToken::random(),
        incarnation: IncarnationId::random(),
        now,
        emit: false,
        entries: vec![entry],
        quotas: Vec::new(),
    };
    server.intake(batch).await.unwrap();
    assert!(server.waiting().await.unwrap().is_empty());
    let decided = command.resolve(vec![id], Resolution::Retry, now, false).await.unwrap();
    assert_eq!(decided, [id]);
    server.wake(now, 10, false).await.unwrap();
    let waiting = server.waiting().await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.messages).sum::<u64>(), 1);
    assert!(command.restored_before().await.unwrap().is_none());
}

#[tokio::test]
async fn of_several_restores_the_latest_copy_s_moment_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    for (made_at, kept) in [(100, 100), (300, 300), (200, 300)] {
        assert_eq!(mark_restored(&path, Timestamp::from_millis(made_at)).unwrap(), 0);
        let ledger = SqliteLedger::open(&path).unwrap();
        assert_eq!(ledger.restored_before().await.unwrap(), Some(Timestamp::from_millis(kept)));
    }
}

#[tokio::test]
async fn a_take_does_not_read_what_is_passed_over() {
    use crate::ledger::{PassedOver, Quiet, Shares, TakeRequest};
    let dir = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&dir.path().join("ledger.db")).unwrap();
    let many = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
         INSERT INTO message (id, customer, sandbox, fingerprint, token, channel, recipient, route, lane, state, units, \
         charge, day, attempt, possible_duplicate, wake_at, expires_at, accepted_at, revision) \
         SELECT randomblob(16), 'suspended', 0, randomblob(16), 1, 'sms', '+82', 'r', i % 2, 1, 1, 1, 20251009, 0, 0, \
         i, i, 1, 0 FROM n";
    ledger.db.write(move |c| c.execute(many, [])).await.unwrap();
    let passed_over: PassedOver = Arc::new(["suspended".parse().unwrap()].into());
    let (route, wait) = ("r".parse().unwrap(), Duration::from_millis(1));
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        let request = TakeRequest {
            route: "r".parse().unwrap(),
            incarnation: IncarnationId::random(),
            max: 256,
            now: Timestamp::from_millis(0),
            emit: false,
            weights: Arc::new(|_| 1),
            passed_over: Arc::clone(&passed_over),
            shares: Shares::default(),
            quiet: Quiet::default(),
        };
        let taken = ledger.take(request).await.unwrap();
        assert_eq!((taken.work.len(), taken.more), (0, false));
        assert!(!ledger.await_ready(&route, &passed_over, wait).await);
    }
    // Reading the rows once takes longer than all these looks together.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_search_ends_after_so_many_rows_says_so_and_goes_on_from_there() {
    use crate::ledger::Search;
    let dir = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&dir.path().join("ledger.db")).unwrap();
    ledger
        .db
        .write(|c| {
            // Row 3 waits for a person, every tenth is another customer's.
            c.execute_batch(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
                 INSERT INTO message (row, id, customer, sandbox, fingerprint, token, channel, recipient, route, lane, \
                 state, units, charge, day, attempt, possible_duplicate, expires_at, accepted_at, revision) \
                 SELECT i, randomblob(16), iif(i % 10 = 0, 'ten', 'acme'), 0, randomblob(16), 0, 'sms', '+82', 'r', 0, \
                 iif(i = 3, 5, 10), 1, 0, 0, 1, 0, 0, 1000 + i, 1 FROM n",
            )
        })
        .await
        .unwrap();
    let search = |customer: Option<&str>, state, older_than| Search {
        customer: customer.map(|name| name.parse().unwrap()),
        state,
        older_than,
        limit: 10,
        ..Search::default()
    };
    let look = |search: Search| ledger.db.read(move |c| find::find(c, &search, 30));
    let (mut older_than, mut moments) = (None, Vec::new());
    for seen in [3, 3, 3, 1] {
        let found = look(search(Some("ten"), None, older_than)).await.unwrap();
        assert_eq!(found.messages.len(), seen);
        older_than = found.unseen.map(|unseen| unseen.older_than);
        moments.extend(found.unseen.map(|unseen| unseen.before.as_millis()));
    }
    assert_eq!((older_than, moments), (None, vec![1_070, 1_040, 1_010]));
    let held = look(search(None, Some(State::Held), None)).await.unwrap();
    assert!(held.messages.len() == 1 && held.unseen.is_none(), "what waits for a person is looked at whole");
    let first = look(search(Some("acme"), None, None)).await.unwrap();
    assert_eq!(first.unseen.unwrap().older_than, 89, "the limit comes first");
}
