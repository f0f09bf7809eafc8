/*
  `walhook/receiver`, for who receives walhook's webhooks in JavaScript: no dependencies, and nothing of walhook's own. This
  file is what is published; it only names what there is.
*/

export { type Deduplicated, deduplicate, type DeduplicationStore } from './deduplicate.ts';
export type {
  CloudEvent,
  DebeziumRecord,
  DebeziumRow,
  DebeziumValue,
  DebeziumVariableDecimal,
  FlatRow,
} from './envelopes.ts';
export type { RequestHeaders } from './headers.ts';
export { MemoryStore, type MemoryStoreOptions } from './memory-store.ts';
export {
  type ColumnValue,
  type DeleteEvent,
  type EventHead,
  failedEvents,
  type InsertEvent,
  type NativeEvent,
  type ReadEvent,
  readEvents,
  type Row,
  type ThinEvent,
  type TruncateEvent,
  type UpdateEvent,
} from './native-event.ts';
export {
  type PostgresClient,
  type PostgresPool,
  type PostgresResult,
  PostgresStore,
  type PostgresStoreOptions,
} from './postgres-store.ts';
export { readBody, type ReadableRequest, type ReadBodyOptions, unpack } from './read-body.ts';
export { type RedisCommand, RedisStore, type RedisStoreOptions } from './redis-store.ts';
export { verify, type VerifyOptions } from './verify.ts';
export { WebhookError, type WebhookErrorCode } from './webhook-error.ts';
