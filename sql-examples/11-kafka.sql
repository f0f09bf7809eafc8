-- Changes to Kafka: the statements are those for webhooks, the destination is another.
CREATE TABLE users (id int PRIMARY KEY, name text, email text);
CREATE CHANGE DATA CAPTURE ON users TO KAFKA 'localhost:9092' TOPIC 'users-changes' FORMAT JSON;
-- As Debezium's connector would have it, tombstones included, in larger batches, compressed.
CREATE CDC STREAM users_debezium ON users TO KAFKA 'kafka-1:9092,kafka-2:9092' TOPIC 'users'
  ENVELOPE DEBEZIUM WITH (batch_max_events = 500, compression = zstd);
-- A topic for each table, behind TLS and a log-in.
CREATE CDC SECRET kafka_password AS 'hunter2';
CREATE CDC STREAM users_tables ON users TO KAFKA 'kafka.example.com:9093' ENVELOPE FLAT
  WITH (topic_template = '{schema}.{table}', tls = true, sasl_mechanism = 'scram-sha-512', sasl_username = 'walhook',
        sasl_password = SECRET kafka_password);
SHOW CREATE CDC STREAM users_tables;
SHOW CDC STREAMS;
EXPLAIN CREATE CDC STREAM users_fast ON users TO KAFKA 'localhost:9092' TOPIC 'users' WITH (acks = 1);
ALTER CDC STREAM users_debezium SET (compression = lz4);
ALTER CDC STREAM users_debezium SET TO KAFKA 'kafka-3:9092' TOPIC 'users';
SHOW CREATE CDC STREAM users_debezium;
-- Each destination has options of its own.
CREATE CDC STREAM users_wrong ON users TO KAFKA 'localhost:9092' TOPIC 'users' WITH (signing_secret = 'x');
CREATE CDC STREAM users_wrong ON users TO WEBHOOK 'http://127.0.0.1:7490/' WITH (acks = 1);
CREATE CDC STREAM users_wrong ON users TO KAFKA 'localhost:9092';
ALTER CDC STREAM users_debezium SET (method = PUT);
DROP CDC STREAM users_cdc_stream, users_debezium, users_tables;
DROP CDC SECRET kafka_password;
DROP TABLE users;
