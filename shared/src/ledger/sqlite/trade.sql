-- The class of prices that held when a message was recorded; NULL: none was said.
ALTER TABLE message ADD COLUMN class TEXT;

-- Recipients who want no messages of a customer (`*`: of none) by a channel (`*`: by any), in the one form in which they are compared.
CREATE TABLE opt_out (
    recipient TEXT NOT NULL CHECK (octet_length(recipient) BETWEEN 1 AND 256),
    customer TEXT NOT NULL,
    channel TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (recipient, customer, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX opt_out_list ON opt_out (customer, recipient, channel);
