-- What was done by whom. Each hash is a keyed one over the row and the hash of the row before: a row that is changed, moved or
-- missing is found. Appended with the change that a row tells of, under an advisory lock of its chain.
CREATE TABLE naru.audit (
    chain text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    at bigint NOT NULL,
    record text NOT NULL,
    hash text COLLATE "C" NOT NULL,
    PRIMARY KEY (chain, sequence)
);

-- Calls that were denied, as processes counted them until a moment. A process writes each of its counts once.
CREATE TABLE naru.denial (
    at bigint NOT NULL,
    times bigint NOT NULL,
    process text COLLATE "C" NOT NULL CHECK (octet_length(process) <= 64),
    customer text COLLATE "C" NOT NULL CHECK (octet_length(customer) <= 64),
    code text COLLATE "C" NOT NULL CHECK (octet_length(code) <= 64),
    PRIMARY KEY (at, process, customer, code)
);
