-- Of events that are put by themselves, not with a message's state: whoever puts one again has no second one waiting.
ALTER TABLE naru.outbox ADD COLUMN event_id text;

CREATE UNIQUE INDEX outbox_event ON naru.outbox (event_id) WHERE event_id IS NOT NULL;

-- Administrative acts to publish, written with the change of the catalog that they tell of; free_at as in outbox.
CREATE TABLE naru.act (
    row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    free_at bigint NOT NULL,
    event text NOT NULL
);

CREATE INDEX act_free ON naru.act (free_at, row);
