DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'naru_ingress') THEN
        CREATE ROLE naru_ingress;
    END IF;
END $$;
GRANT USAGE ON SCHEMA naru TO naru_ingress;
GRANT SELECT ON naru.migration, naru.message, naru.unread, naru.usage, naru.entry, naru.entry_beside, naru.every_entry,
             naru.catalog_version TO naru_ingress;
-- How a message that ended stands, but not what it said.
GRANT SELECT (row, token, incarnation, wake_at, expires_at, accepted_at, send_at, sent_at, final_at, day, units, attempt,
              revision, state, code, charge, lane, sandbox, possible_duplicate, id, fingerprint, customer, route, channel,
              recipient, key, reference, backend_id, detail, intake_at, taken_at, read_at, read_revision, class) ON naru.archive TO naru_ingress;
-- Reports are handed out and acknowledged.
GRANT UPDATE (free_at), DELETE ON naru.unread TO naru_ingress;
GRANT UPDATE (read_at, read_revision) ON naru.message, naru.archive TO naru_ingress;
-- A message is cancelled, or its tombstone is put up.
GRANT UPDATE (state, code, detail, charge, attempt, incarnation, possible_duplicate, backend_id, wake_at, expires_at, sent_at,
              final_at, revision) ON naru.message TO naru_ingress;
GRANT INSERT ON naru.message, naru.unread, naru.usage, naru.backlog, naru.outbox TO naru_ingress;
GRANT UPDATE (revision, free_at) ON naru.unread TO naru_ingress;
GRANT UPDATE (used, credited) ON naru.usage TO naru_ingress;
-- What was denied is counted, and read by the operator alone.
GRANT INSERT ON naru.denial TO naru_ingress;
-- It says that it lives, and which credentials were used.
GRANT SELECT, INSERT, DELETE, UPDATE (version, seen_at) ON naru.front TO naru_ingress;
GRANT SELECT, INSERT, UPDATE (used_at) ON naru.credential_use TO naru_ingress;
