-- A table, and a stream of its changes to a webhook. Ordinary SQL passes through.
CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, status text NOT NULL DEFAULT 'open');
CREATE CHANGE DATA CAPTURE ON orders TO WEBHOOK 'http://127.0.0.1:7490/orders' FORMAT JSON;
SELECT stream.name FROM (VALUES ('orders_cdc_stream')) AS stream (name);
DROP CDC STREAM orders_cdc_stream;
DROP TABLE orders;
