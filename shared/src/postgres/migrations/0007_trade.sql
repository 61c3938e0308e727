-- The class of prices that held when a message was recorded; NULL: none was said.
ALTER TABLE naru.message ADD COLUMN class text COLLATE "C";
ALTER TABLE naru.archive ADD COLUMN class text COLLATE "C";

-- Recipients who want no messages of a customer (`*`: of none) by a channel (`*`: by any), in the one form in which they are compared.
CREATE TABLE naru.opt_out (
    since bigint NOT NULL,
    recipient text COLLATE "C" NOT NULL CHECK (octet_length(recipient) BETWEEN 1 AND 256),
    customer text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    PRIMARY KEY (recipient, customer, channel)
);

CREATE UNIQUE INDEX opt_out_list ON naru.opt_out (customer, recipient, channel);

-- The words of codes that such messages end with, and the class.
CREATE OR REPLACE VIEW naru.readable AS
    SELECT 'message' AS lies_in, row, encode(id, 'hex') AS id, customer,
           CASE WHEN sandbox THEN 'sandbox' ELSE 'live' END AS environment, key, reference, recipient, channel, route,
           CASE lane WHEN 0 THEN 'express' ELSE 'bulk' END AS lane,
           (ARRAY['ready', 'scheduled', 'sending', 'retrying', 'held', 'stopped', 'sent', NULL, NULL, 'delivered', 'failed',
                  'expired', 'rejected', 'cancelled'])[state] AS state,
           (ARRAY['ok', 'backend-refused', 'uncertain', 'ttl-expired', 'no-report', 'quota-exceeded', 'suspended', 'no-route',
                  'cancelled', 'indigestible', 'restored', 'not-taken', 'attachment-lost', 'recalled', 'opted-out', NULL, NULL, NULL,
                  'sender-unregistered'])[code + 1] AS code,
           detail, units,
           (ARRAY['none', 'reserved', 'captured', 'released', 'credited'])[charge + 1] AS charge,
           attempt, revision, possible_duplicate,
           to_timestamp(accepted_at / 1000.0) AS accepted_at, to_timestamp(sent_at / 1000.0) AS sent_at,
           to_timestamp(final_at / 1000.0) AS final_at, class
      FROM naru.message WHERE fingerprint IS NOT NULL
    UNION ALL
    SELECT 'archive', row, encode(id, 'hex'), customer,
           CASE WHEN sandbox THEN 'sandbox' ELSE 'live' END, key, reference, recipient, channel, route,
           CASE lane WHEN 0 THEN 'express' ELSE 'bulk' END,
           (ARRAY['ready', 'scheduled', 'sending', 'retrying', 'held', 'stopped', 'sent', NULL, NULL, 'delivered', 'failed',
                  'expired', 'rejected', 'cancelled'])[state],
           (ARRAY['ok', 'backend-refused', 'uncertain', 'ttl-expired', 'no-report', 'quota-exceeded', 'suspended', 'no-route',
                  'cancelled', 'indigestible', 'restored', 'not-taken', 'attachment-lost', 'recalled', 'opted-out', NULL, NULL, NULL,
                  'sender-unregistered'])[code + 1],
           detail, units,
           (ARRAY['none', 'reserved', 'captured', 'released', 'credited'])[charge + 1],
           attempt, revision, possible_duplicate,
           to_timestamp(accepted_at / 1000.0), to_timestamp(sent_at / 1000.0), to_timestamp(final_at / 1000.0), class
      FROM naru.archive;
