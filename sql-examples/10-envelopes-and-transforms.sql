-- The shape of an event, and what is made of it on its way.
CREATE TABLE parcels (id bigint PRIMARY KEY, status text, weight numeric(6,2), sent_at timestamptz);
-- As Debezium's connector would have it, for consumers that know it.
CREATE CDC STREAM parcels_debezium ON parcels TO WEBHOOK 'http://127.0.0.1:7490/debezium' ENVELOPE DEBEZIUM;
-- Rows with a version and a mark of deletion, in batches: made to be upserted.
CREATE CDC STREAM parcels_rows ON parcels TO WEBHOOK 'http://127.0.0.1:7490/rows' ENVELOPE FLAT WITH (batch_max_events = 500);
CREATE CDC STREAM parcels_events ON parcels TO WEBHOOK 'http://127.0.0.1:7490/events' ENVELOPE CLOUDEVENTS;
-- A part of the event (RFC 9535), or whatever a template (Jinja) writes.
CREATE CDC STREAM parcels_after ON parcels TO WEBHOOK 'http://127.0.0.1:7490/after'
  OPERATIONS (INSERT, UPDATE) TRANSFORM JSONPATH '$.after';
CREATE CDC STREAM parcels_chat ON parcels TO WEBHOOK 'http://127.0.0.1:7490/chat'
  OPERATIONS (INSERT)
  TRANSFORM TEMPLATE $${"text": {{ ("Parcel " ~ key.id ~ " is " ~ after.status) | tojson }}}$$;
-- Both are changed while the stream runs; its place is kept.
ALTER CDC STREAM parcels_rows SET ENVELOPE NATIVE;
ALTER CDC STREAM parcels_after SET TRANSFORM JSONPATH '$[''key'', ''after'']';
SHOW CREATE CDC STREAM parcels_after;
SHOW CREATE CDC STREAM parcels_chat;
-- A transform is tried on a row of the table before it is taken.
ALTER CDC STREAM parcels_after SET TRANSFORM JSONPATH 'after.id';
ALTER CDC STREAM parcels_chat SET TRANSFORM TEMPLATE '{"text": {{ after.status }} }';
ALTER CDC STREAM parcels_chat SET TRANSFORM TEMPLATE '{% for i in [1, 2] %}{{ i }}';
DROP CDC STREAM parcels_debezium, parcels_rows, parcels_events, parcels_after, parcels_chat;
DROP TABLE parcels;
