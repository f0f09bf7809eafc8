-- Changes to Kafka as Avro: readers look up the schemas in a registry, which has them from walhook.
CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(10, 2), placed timestamptz);
CREATE CDC SECRET registry AS 'walhook:hunter2';
CREATE CDC STREAM orders_avro ON orders TO KAFKA 'localhost:9092' TOPIC 'orders' FORMAT AVRO ENVELOPE DEBEZIUM
  WITH (schema_registry_url = 'http://localhost:8081', schema_registry_basic_auth = SECRET registry);
SHOW CREATE CDC STREAM orders_avro;
-- Tables that share a topic have a subject each.
CREATE TABLE customers (id bigint PRIMARY KEY, name text);
CREATE CDC STREAM shop_avro ON orders, customers TO KAFKA 'localhost:9092' TOPIC 'shop' FORMAT AVRO
  WITH (schema_registry_url = 'http://localhost:8081', schema_registry_subjects = topic_record);
-- What Avro cannot be had for.
CREATE CDC STREAM orders_wrong ON orders TO KAFKA 'localhost:9092' TOPIC 'orders' FORMAT AVRO;
CREATE CDC STREAM orders_wrong ON orders TO WEBHOOK 'http://127.0.0.1:7490/' FORMAT AVRO;
CREATE CDC STREAM orders_wrong ON orders, customers TO KAFKA 'localhost:9092' TOPIC 'shop' FORMAT AVRO
  WITH (schema_registry_url = 'http://localhost:8081');
ALTER CDC STREAM orders_avro SET ENVELOPE CLOUDEVENTS;
ALTER CDC STREAM orders_avro SET FORMAT JSON;
-- The format and its options change together.
CREATE OR REPLACE CDC STREAM orders_avro ON orders TO KAFKA 'localhost:9092' TOPIC 'orders' ENVELOPE DEBEZIUM;
DROP CDC STREAM orders_avro, shop_avro;
DROP CDC SECRET registry;
DROP TABLE orders, customers;
