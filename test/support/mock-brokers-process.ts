import { KafkaClient } from 'kafka-crab-js';

// librdkafka's mock cluster, which lives in one of its clients: where it listens, the client's log says.

const client = new KafkaClient({
  brokers: 'mock:1',
  clientId: 'mock',
  logLevel: 'debug',
  configuration: { 'test.mock.num.brokers': process.argv[2] ?? '3', debug: 'mock' },
});
client.createProducer({});
process.stdin.resume().on('end', () => setTimeout(() => process.exit(), 1_000));
