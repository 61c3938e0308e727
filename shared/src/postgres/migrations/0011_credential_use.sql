-- Fronts that live, and the version of the catalog up to which each has everything: whoever revokes a credential waits for them.
CREATE TABLE naru.front (
    version bigint NOT NULL,
    seen_at bigint NOT NULL,
    name text COLLATE "C" PRIMARY KEY CHECK (octet_length(name) <= 200)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

-- When a credential was last used, told by fronts once a minute at most.
CREATE TABLE naru.credential_use (
    used_at bigint NOT NULL,
    credential text COLLATE "C" PRIMARY KEY CHECK (octet_length(credential) <= 40)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
