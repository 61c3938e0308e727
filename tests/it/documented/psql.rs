//! docs/postgresql.md, seen by `psql`.

use std::collections::{BTreeMap, BTreeSet};

use naru_shared::domain::{Code, MessageId};
use naru_tests::{customer::Customer, deployment::Deployment};
use serde_json::Value;

use super::tables::{table, words};

type Names = BTreeSet<String>;

/// A database, and what psql says of it.
pub(super) struct Psql<'a>(pub(super) &'a Deployment);

impl Psql<'_> {
    /// Rows, cell by cell.
    pub(super) fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        let text = self.0.psql(statement).unwrap();
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }

    pub(super) fn one(&self, statement: &str) -> String {
        self.0.psql(statement).unwrap()
    }

    fn names(&self, statement: &str) -> Names {
        self.rows(statement).into_iter().flatten().collect()
    }

    fn columns(&self, relation: &str) -> Names {
        self.names(&format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'naru.{relation}'::regclass AND attnum > 0 AND NOT attisdropped"
        ))
    }
}

/// Tables without the partitions of others.
const TABLES: &str = "SELECT relname FROM pg_class WHERE relnamespace = 'naru'::regnamespace AND relkind IN ('r', 'p') \
     AND NOT relispartition";

/// The tables that the document names, in any of its tables.
fn documented(document: &str) -> Names {
    table(document, &["table", "a row is"]).iter().flat_map(|row| words(&row[0])).collect()
}

/// Tables, columns, indexes, types, the view, the partitions.
pub(super) fn shape(psql: &Psql<'_>, document: &str) {
    assert_eq!(psql.names(TABLES), documented(document), "tables");
    let views = psql.names("SELECT viewname FROM pg_views WHERE schemaname = 'naru'");
    assert_eq!(views, ["every_entry", "readable"].map(str::to_owned).into());
    let mut told = Names::new();
    for row in table(document, &["table", "columns", "keys and indexes"]) {
        let name = words(&row[0]).remove(0);
        let mut columns: Names = words(&row[1]).into_iter().collect();
        if row[1].starts_with("those of `message`, and") {
            columns.extend(psql.columns("message"));
        }
        assert_eq!(psql.columns(&name), columns, "columns of {name}");
        let indexes =
            format!("SELECT indexname FROM pg_indexes WHERE schemaname = 'naru' AND tablename = '{name}'");
        assert_eq!(psql.names(&indexes), words(&row[2]).into_iter().collect::<Names>(), "indexes of {name}");
        told.insert(name);
    }
    told.retain(|name| !views.contains(name));
    assert_eq!(told, documented(document), "each has its columns told");
    moments(psql);
    partitions(psql);
}

/// Every moment is a number of milliseconds, but for the one that is said not to be.
fn moments(psql: &Psql<'_>) {
    let types = psql.rows(
        "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns WHERE table_schema = 'naru' \
         AND (column_name = 'at' OR column_name LIKE '%\\_at') AND table_name <> 'readable'",
    );
    assert!(types.len() > 15, "{types:?}");
    for column in types {
        let expected =
            if column[0] == "migration.applied_at" { "timestamp with time zone" } else { "bigint" };
        assert_eq!(column[1], expected, "{}", column[0]);
    }
    let near = "SELECT count(*), count(*) FILTER (WHERE abs(extract(epoch FROM now()) * 1000 - accepted_at) < 600000) \
                FROM naru.message";
    let near = psql.rows(near).remove(0);
    assert!(near[0] != "0" && near[0] == near[1], "milliseconds since 1970, UTC: {near:?}");
}

/// One for this month and one made ahead, each with its month's bounds.
fn partitions(psql: &Psql<'_>) {
    for month in ["now()", "now() + interval '1 month'"] {
        let bound = format!(
            "SELECT pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (''%s'') TO (''%s'')', \
               extract(epoch FROM m)::bigint * 1000, extract(epoch FROM m + interval '1 month')::bigint * 1000) \
             FROM (SELECT date_trunc('month', ({month}) AT TIME ZONE 'UTC') AS m) AS month \
             JOIN pg_class c ON c.relname = to_char(m, '\"archive_\"YYYY_MM') \
             WHERE c.relnamespace = 'naru'::regnamespace"
        );
        assert_eq!(psql.one(&bound), "t", "the partition of {month}");
    }
}

/// What the narrow role may do on every table and column is what the table of roles says, no less and no more.
pub(super) fn rights(psql: &Psql<'_>, document: &str) {
    let mut told = Names::new();
    for row in table(document, &["on", "reads", "inserts", "updates", "deletes"]) {
        for name in words(&row[0]) {
            let columns = psql.columns(&name);
            for (privilege, cell) in [("SELECT", &row[1]), ("INSERT", &row[2]), ("UPDATE", &row[3])] {
                let of = format!(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'naru.{name}'::regclass AND attnum > 0 \
                     AND has_column_privilege('naru_ingress', attrelid, attnum, '{privilege}')"
                );
                assert_eq!(psql.names(&of), allowed(cell, &columns), "{privilege} on {name}");
            }
            let deletes = psql.one(&format!(
                "SELECT has_table_privilege('naru_ingress', 'naru.{name}', 'DELETE'), \
                 has_table_privilege('naru_ingress', 'naru.{name}', 'TRUNCATE, REFERENCES, TRIGGER')"
            ));
            assert_eq!(deletes, if row[4] == "yes" { "t|f" } else { "f|f" }, "DELETE on {name}");
            told.insert(name);
        }
    }
    told.remove("every_entry");
    assert_eq!(told, documented(document), "each table's rights are told");
    // That it can log in is the deployment's doing, as the document asks of an operator.
    let role = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolpassword IS NULL \
                FROM pg_authid WHERE rolname = 'naru_ingress'";
    assert_eq!(psql.one(role), "f|f|f|f|t");
    let text = psql.0.psql("SET ROLE naru_ingress; SELECT message FROM naru.content");
    assert!(text.unwrap_err().to_string().contains("permission denied"));
    let partitions = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND \
                      (has_table_privilege('naru_ingress', oid, 'SELECT') OR has_column_privilege('naru_ingress', oid, 'message', 'SELECT'))";
    assert_eq!(psql.one(partitions), "0", "texts in partitions");
}

fn allowed(cell: &str, columns: &Names) -> Names {
    match cell {
        "all" => columns.clone(),
        "no" => Names::new(),
        _ => match cell.strip_prefix("all but ") {
            Some(rest) => {
                let but = words(rest);
                columns.iter().filter(|column| !but.contains(column)).cloned().collect()
            }
            None => words(cell).into_iter().collect(),
        },
    }
}

/// Messages as the view shows them are messages as the API tells of them.
pub(super) fn readable(psql: &Psql<'_>, views: &[Value]) {
    let columns = "reference, encode(decode(id, 'hex'), 'hex'), environment, state, coalesce(code, ''), units, charge, attempt, \
                   channel, route, recipient, customer, lies_in, \
                   to_char(accepted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), \
                   coalesce(to_char(final_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), '')";
    let rows = psql.rows(&format!("SELECT {columns} FROM naru.readable ORDER BY row"));
    let rows: BTreeMap<String, Vec<String>> = rows.into_iter().map(|row| (row[0].clone(), row)).collect();
    assert_eq!(rows.len(), views.len());
    for view in views {
        let text = |name: &str| view[name].as_str().unwrap_or_default().to_owned();
        let row = &rows[&text("reference")];
        let id: MessageId = text("id").parse().unwrap();
        let hex: String = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            text("reference"),
            hex,
            text("environment"),
            text("status"),
            text("code"),
            view["units"].to_string(),
            charge(view).to_owned(),
            view["attempts"].to_string(),
            text("channel"),
            text("route"),
            text("recipient"),
            "acme".to_owned(),
            "message".to_owned(),
            text("accepted_at"),
            text("final_at"),
        ];
        assert_eq!(row.as_slice(), expected, "{view}");
    }
}

/// What docs/codes.md says of the charge.
fn charge(view: &Value) -> &'static str {
    match (view["environment"].as_str(), view["final_at"].is_null(), view["code"].as_str()) {
        (Some("sandbox"), ..) => "none",
        (_, true, _) => "reserved",
        (.., Some("ok")) => "captured",
        _ => "released",
    }
}

/// Each number of a code has its word in the view.
pub(super) fn codes(psql: &Psql<'_>) {
    for code in Code::ALL {
        let shown = format!(
            "BEGIN; UPDATE naru.message SET code = {} WHERE row = (SELECT min(row) FROM naru.message); \
             SELECT code FROM naru.readable ORDER BY row LIMIT 1; ROLLBACK",
            code.as_u8()
        );
        assert_eq!(psql.one(&shown), code.as_str());
    }
}

/// The document's own statements: each is taken, and each finds something.
pub(super) fn examples(psql: &Psql<'_>, document: &str) {
    let typed = document.lines().filter_map(|line| line.strip_prefix("$ psql naru -c \""));
    let statements: Vec<&str> = typed.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(statements.len() >= 5, "{statements:?}");
    for statement in statements {
        assert!(!psql.rows(statement).is_empty(), "nothing was found: {statement}");
    }
}

/// What is said of single tables, counted.
pub(super) fn counts(psql: &Psql<'_>, live: &mut Customer) {
    let quota = live.get("/quota").unwrap().json();
    let used = "SELECT sum(used - credited) FROM naru.usage WHERE customer = 'acme'";
    assert_eq!(psql.one(used), quota["quotas"][0]["used"].to_string(), "reserved or captured");
    // Handed out under a lease, and deleted when acknowledged.
    let unread = "SELECT count(*) FROM naru.unread WHERE customer = 'acme' AND NOT sandbox";
    let before: usize = psql.one(unread).parse().unwrap();
    let reply = live.get("/reports").unwrap().json();
    let handed_out = reply["reports"].as_array().unwrap();
    assert!(before > 1 && handed_out.len() == before, "{before} unread, {reply}");
    let lent = format!("{unread} AND free_at > extract(epoch FROM now()) * 1000 + 30000");
    assert_eq!(psql.one(&lent), before.to_string(), "free again when the lease is over");
    assert_eq!(live.acknowledge(&handed_out[..1]).unwrap().status, 200);
    assert_eq!(psql.one(unread), (before - 1).to_string());
    let content = "SELECT count(*) FROM naru.content c FULL JOIN naru.message m USING (row) WHERE c.message IS NULL OR m.id IS NULL";
    assert_eq!(psql.one(content), "0", "what was asked lies apart, by row");
    assert_eq!(psql.one("SELECT count(*) FROM naru.outbox"), "0", "deleted once it is published");
    assert_eq!(
        psql.one("SELECT count(*) FROM naru.incarnation"),
        "2",
        "two processes work; fronts hold nothing"
    );
    let version =
        "SELECT count(*), max(version) = (SELECT max(version) FROM naru.entry) FROM naru.catalog_version";
    assert_eq!(psql.one(version), "1|t", "the version of the last change, in one row");
    let notes = "SELECT count(*) FROM naru.attempt_note n JOIN naru.message m ON m.row = n.message";
    assert_ne!(psql.one(notes), "0", "an attempt that was in doubt is noted");
}
