-- A stream with a name of its own, batches of up to 100 events, and a header that the endpoint asks for.
CREATE TABLE payments (id bigint PRIMARY KEY, amount numeric(12,2) NOT NULL);
CREATE CDC STREAM IF NOT EXISTS payments_to_ledger ON payments
  TO WEBHOOK 'http://127.0.0.1:7490/ledger'
  FORMAT JSON
  WITH (
    batch_max_events = 100,
    batch_max_bytes  = '256kB',
    max_in_flight    = 4,
    request_timeout  = '10s',
    initial_backoff  = '500ms',
    max_backoff      = '1min',
    max_retries      = 0,
    headers          = '{"X-Team": "ledger"}'
  );
-- HeliosDB's place for the name.
CREATE CHANGE DATA CAPTURE ON payments TO WEBHOOK 'http://127.0.0.1:7490/audit' FORMAT JSON AS payments_audit;
DROP CDC STREAM payments_to_ledger, payments_audit;
DROP TABLE payments;
