-- A migration as the rules ask for it: what the program before does not know has a default, so that it need not know it.
ALTER TABLE naru.message ADD COLUMN opened_at bigint, ADD COLUMN hue integer NOT NULL DEFAULT 7;
ALTER TABLE naru.archive ADD COLUMN opened_at bigint, ADD COLUMN hue integer NOT NULL DEFAULT 7;
ALTER TABLE naru.content ADD COLUMN language text;
ALTER TABLE naru.unread ADD COLUMN handed_out integer NOT NULL DEFAULT 0;
ALTER TABLE naru.usage ADD COLUMN refunded bigint NOT NULL DEFAULT 0;
ALTER TABLE naru.outbox ADD COLUMN priority integer NOT NULL DEFAULT 0;
ALTER TABLE naru.incarnation ADD COLUMN host text;
ALTER TABLE naru.entry ADD COLUMN changed_by text;
CREATE TABLE naru.remark (id bytea PRIMARY KEY, text text NOT NULL);
