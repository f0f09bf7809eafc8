-- A stream of some rows, some columns and some operations. UPDATE and DELETE are filtered by the old row too, which
-- Postgres sends in full where the table says so.
CREATE TABLE invoices (id int PRIMARY KEY, customer text NOT NULL, status text, total numeric(12,2), internal_note text);
CREATE CDC STREAM unpaid ON invoices WHERE (status = 'unpaid') TO WEBHOOK 'http://127.0.0.1:7490/unpaid';
ALTER TABLE invoices REPLICA IDENTITY FULL;
-- A row filter, as a publication's: an update by which a row enters or leaves it is an insert or a delete.
CREATE CDC STREAM unpaid ON invoices (id, customer, status, total) WHERE (status = 'unpaid' AND total >= 10)
  TO WEBHOOK 'http://127.0.0.1:7490/unpaid';
-- A condition on both rows, as a trigger's.
CREATE CDC STREAM paid ON invoices TO WEBHOOK 'http://127.0.0.1:7490/paid'
  OPERATIONS (UPDATE OF status)
  WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.status IN ('paid', 'refunded'));
-- Inserts alone.
CREATE CDC STREAM large ON invoices WHERE (total > 1000) TO WEBHOOK 'http://127.0.0.1:7490/large' OPERATIONS (INSERT);
SHOW CREATE CDC STREAM unpaid;
SHOW CREATE CDC STREAM paid;
-- Mistakes are told where they are.
CREATE CDC STREAM s ON invoices WHERE (statu = 'unpaid') TO WEBHOOK 'http://127.0.0.1:7490/';
CREATE CDC STREAM s ON invoices WHERE (total > 'much') TO WEBHOOK 'http://127.0.0.1:7490/';
CREATE CDC STREAM s ON invoices WHERE (random() < 0.1) TO WEBHOOK 'http://127.0.0.1:7490/';
CREATE CDC STREAM s ON invoices (customer) TO WEBHOOK 'http://127.0.0.1:7490/';
DROP CDC STREAM unpaid, paid, large;
DROP TABLE invoices;
