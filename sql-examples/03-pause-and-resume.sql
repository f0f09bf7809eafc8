-- Maintenance at the endpoint: paused, a stream keeps its position and sends nothing.
CREATE TABLE tickets (id int PRIMARY KEY, title text);
CREATE CHANGE DATA CAPTURE ON tickets TO WEBHOOK 'http://127.0.0.1:7490/tickets';
ALTER CDC STREAM tickets_cdc_stream PAUSE;
ALTER CDC STREAM tickets_cdc_stream RESUME;
SHOW CDC STREAMS;
DROP CDC STREAM tickets_cdc_stream;
DROP TABLE tickets;
