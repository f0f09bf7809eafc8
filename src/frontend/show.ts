import { redactUrl } from '../model/redact.ts';
import type { StreamReport } from '../model/status.ts';
import type { Column, ColumnType, Result, Value } from './result.ts';
import { encodeValue } from './result.ts';

/** One property of a stream: as a column of SHOW CDC STREAMS, or as a row of SHOW CDC STREAM STATUS. */
type Property = readonly [name: string, type: ColumnType, value: (report: StreamReport) => Value];

/** The order is a contract; new columns go at the end. What this version does not know is NULL. */
const COLUMNS: readonly Property[] = [
  ['stream_name', 'text', (report) => report.definition.name],
  ['source', 'text', ({ definition }) => definition.tables.map(({ schema, name }) => `${schema}.${name}`).join(', ')],
  ['destination_type', 'text', ({ definition }) => definition.destination.kind],
  ['destination', 'text', ({ definition }) => redactUrl(definition.destination.url)],
  ['format', 'text', ({ definition }) => definition.format],
  ['envelope', 'text', ({ definition }) => definition.envelope],
  ['status', 'text', (report) => report.status],
  ['status_reason', 'text', (report) => report.statusReason],
  ['lag_seconds', 'float8', (report) => report.lagSeconds],
  ['lag_bytes', 'int8', (report) => report.lagBytes],
  ['pending_events', 'int8', ({ delivery }) => delivery.pendingEvents],
  ['events_delivered', 'int8', ({ delivery }) => delivery.eventsDelivered],
  ['events_failed', 'int8', ({ delivery }) => delivery.eventsFailed],
  ['dead_letters', 'int8', ({ delivery }) => delivery.deadLetters],
  ['circuit_state', 'text', () => null],
  ['last_error', 'text', ({ delivery }) => delivery.lastError],
  ['last_error_at', 'timestamptz', ({ delivery }) => delivery.lastErrorAtMs],
  ['created_at', 'timestamptz', ({ definition }) => definition.createdAtMs],
  ['owner', 'text', ({ definition }) => definition.owner],
];

/** What SHOW CDC STREAM STATUS has besides, in its order. */
const MORE_ROWS: readonly Property[] = [
  ['started_at', 'timestamptz', () => null],
  ['paused_at', 'timestamptz', ({ definition }) => definition.pausedAtMs],
  ['last_event_at', 'timestamptz', ({ delivery }) => delivery.lastEventAtMs],
  ['last_delivery_at', 'timestamptz', ({ delivery }) => delivery.lastDeliveryAtMs],
  ['last_http_status', 'int4', ({ delivery }) => delivery.lastHttpStatus],
  ['next_retry_at', 'timestamptz', ({ delivery }) => delivery.nextRetryAtMs],
  ['events_captured', 'int8', ({ delivery }) => delivery.eventsCaptured],
  ['events_filtered', 'int8', () => null],
  ['events_retried', 'int8', ({ delivery }) => delivery.eventsRetried],
  ['in_flight', 'int4', ({ delivery }) => delivery.inFlight],
  ['delivery_p50_ms', 'float8', ({ delivery }) => delivery.deliveryP50Ms],
  ['delivery_p99_ms', 'float8', ({ delivery }) => delivery.deliveryP99Ms],
  ['confirmed_lsn', 'text', ({ capture }) => capture.confirmedLsn],
  ['received_lsn', 'text', ({ capture }) => capture.receivedLsn],
  ['upstream_lsn', 'text', ({ capture }) => capture.upstreamLsn],
  ['slot_name', 'text', ({ capture }) => capture.slotName],
  ['slot_wal_status', 'text', () => null],
  ['circuit_opened_at', 'timestamptz', () => null],
  ['circuit_next_probe_at', 'timestamptz', () => null],
  ['backfill_rows_done', 'int8', () => null],
  ['backfill_rows_total', 'int8', () => null],
  ['synced', 'bool', () => null],
];

const STREAMS_COLUMNS: readonly Column[] = COLUMNS.map(([name, type]) => ({ name, type }));

const STATUS_COLUMNS: readonly Column[] = [
  { name: 'property', type: 'text' },
  { name: 'value', type: 'text' },
];

/** The columns of a statement's result, known before it runs; empty where it returns no rows. */
export function columnsOf(kind: string): readonly Column[] {
  if (kind === 'show-streams') return STREAMS_COLUMNS;
  if (kind === 'show-stream-status') return STATUS_COLUMNS;
  return [];
}

/** SHOW CDC STREAMS: a row for each stream. */
export function showStreams(reports: readonly StreamReport[]): Result {
  const rows = reports.map((report) => COLUMNS.map(([, , value]) => value(report)));
  return { columns: STREAMS_COLUMNS, rows, tag: 'SHOW', notices: [] };
}

/** SHOW CDC STREAM STATUS: a row for each property, its value as text. */
export function showStreamStatus(report: StreamReport): Result {
  const rows = [...COLUMNS, ...MORE_ROWS].map(([name, type, value]) => [
    name,
    encodeValue(value(report), type, 0, 'UTF8')?.toString() ?? null,
  ]);
  return { columns: STATUS_COLUMNS, rows, tag: 'SHOW', notices: [] };
}
