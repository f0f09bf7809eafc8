-- What is wrong is said where it is wrong.
ALTER CDC STREAM orders_cdc_stream PAUZE;
CREATE CDC STREAM s ON nowhere TO WEBHOOK 'http://127.0.0.1:7490/';
CREATE CDC STREAM s ON pg_class TO WEBHOOK 'http://127.0.0.1:7490/' WITH (batch_max_event = 10);
CREATE CHANGE DATA CAPTURE ON users TO KINESIS 'users-stream' REGION 'us-east-1';
DROP CDC STREAM nobody;
DROP CDC STREAM IF EXISTS nobody;
