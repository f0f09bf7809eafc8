-- What a stream would be, before it is.
CREATE TABLE readings (sensor int, at timestamptz, value float8, PRIMARY KEY (sensor, at));
EXPLAIN CREATE CDC STREAM readings_feed ON readings TO WEBHOOK 'http://127.0.0.1:7490/readings' WITH (max_in_flight = 4);
CREATE CDC STREAM readings_feed ON readings TO WEBHOOK 'http://127.0.0.1:7490/readings' WITH (max_in_flight = 4, max_retries = 5);
ALTER CDC STREAM readings_feed RESET (max_retries);
SHOW CREATE CDC STREAM readings_feed;
SHOW CDC VERSION;
DROP CDC STREAM readings_feed;
DROP TABLE readings;
