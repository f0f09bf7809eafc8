-- A stream is part of the transaction it is made in.
BEGIN;
CREATE TABLE shipments (id int PRIMARY KEY, state text);
CREATE CDC STREAM shipments_feed ON shipments TO WEBHOOK 'http://127.0.0.1:7490/shipments';
ROLLBACK;
SHOW CREATE CDC STREAM shipments_feed;
BEGIN;
CREATE TABLE shipments (id int PRIMARY KEY, state text);
CREATE CDC ENDPOINT logistics AS 'http://127.0.0.1:7490/logistics';
CREATE CDC STREAM shipments_feed ON shipments TO ENDPOINT logistics;
SAVEPOINT before_the_other;
CREATE CDC STREAM other ON shipments TO ENDPOINT logistics;
ROLLBACK TO SAVEPOINT before_the_other;
COMMIT;
SHOW CREATE CDC STREAM shipments_feed;
SHOW CREATE CDC STREAM other;
-- An error of ours fails the block as any other does.
BEGIN;
DROP CDC STREAM nobody;
SELECT 1;
COMMIT;
DROP CDC STREAM shipments_feed;
DROP CDC ENDPOINT logistics;
DROP TABLE shipments;
