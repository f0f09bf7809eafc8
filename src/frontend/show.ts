import { redactUrl } from '../model/redact.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import { printShownDefinition } from '../sql/print-definition.ts';
import type { StreamReport } from '../model/status.ts';
import { likePattern } from './like-pattern.ts';
import type { Column, ColumnType, Result, Value } from './result.ts';
import { encodeValue, shownMs } from './result.ts';

/** One property of a stream: as a column of SHOW CDC STREAMS, or as a row of SHOW CDC STREAM STATUS. */
type Property = readonly [name: string, type: ColumnType, value: (report: StreamReport) => Value];

/** The order is a contract; new columns go at the end. What this version does not know is NULL. */
const COLUMNS: readonly Property[] = [
  ['stream_name', 'text', (report) => report.definition.name],
  ['source', 'text', ({ definition }) => shownSource(definition)],
  ['destination_type', 'text', ({ definition }) => definition.destination.kind],
  ['destination', 'text', ({ definition }) => shownDestination(definition)],
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
  ['circuit_state', 'text', ({ delivery }) => delivery.circuitState],
  ['last_error', 'text', ({ delivery }) => delivery.lastError],
  ['last_error_at', 'timestamptz', ({ delivery }) => delivery.lastErrorAtMs],
  ['created_at', 'timestamptz', ({ definition }) => definition.createdAtMs],
  ['owner', 'text', ({ definition }) => definition.owner],
];

/** The last column, and the last row. */
const DATABASE: Property = ['database', 'text', ({ definition }) => definition.database];

/** What SHOW CDC STREAM STATUS has besides, in its order. */
const MORE_ROWS: readonly Property[] = [
  ['started_at', 'timestamptz', ({ delivery }) => delivery.startedAtMs],
  ['paused_at', 'timestamptz', ({ definition }) => definition.pausedAtMs],
  ['last_event_at', 'timestamptz', ({ delivery }) => delivery.lastEventAtMs],
  ['last_delivery_at', 'timestamptz', ({ delivery }) => delivery.lastDeliveryAtMs],
  ['last_http_status', 'int4', ({ delivery }) => delivery.lastHttpStatus],
  ['next_retry_at', 'timestamptz', ({ delivery }) => delivery.nextRetryAtMs],
  ['events_captured', 'int8', ({ delivery }) => delivery.eventsCaptured],
  ['events_filtered', 'int8', ({ delivery }) => delivery.eventsFiltered],
  ['events_retried', 'int8', ({ delivery }) => delivery.eventsRetried],
  ['in_flight', 'int4', ({ delivery }) => delivery.inFlight],
  ['delivery_p50_ms', 'float8', ({ delivery }) => shownMs(delivery.deliveryP50Ms)],
  ['delivery_p99_ms', 'float8', ({ delivery }) => shownMs(delivery.deliveryP99Ms)],
  ['confirmed_lsn', 'text', ({ capture }) => capture.confirmedLsn],
  ['received_lsn', 'text', ({ capture }) => capture.receivedLsn],
  ['upstream_lsn', 'text', ({ capture }) => capture.upstreamLsn],
  ['slot_name', 'text', ({ capture }) => capture.slotName],
  ['slot_wal_status', 'text', ({ capture }) => capture.slotWalStatus],
  ['circuit_opened_at', 'timestamptz', ({ delivery }) => delivery.circuitOpenedAtMs],
  ['circuit_next_probe_at', 'timestamptz', ({ delivery }) => delivery.circuitNextProbeAtMs],
  ['backfill_rows_done', 'int8', ({ backfill }) => backfill?.rowsDone ?? null],
  ['backfill_rows_total', 'int8', ({ backfill }) => backfill?.rowsTotal ?? null],
  ['synced', 'bool', ({ backfill }) => (backfill === null ? null : backfill.state === 'done')],
  ['filter_doubts', 'int8', ({ delivery }) => delivery.filterDoubts],
  ['last_filter_doubt', 'text', ({ delivery }) => delivery.lastFilterDoubt],
];

function shownSource({ scope, tables }: StreamReport['definition']): string {
  if (scope.kind === 'all-tables') return 'ALL TABLES';
  if (scope.kind === 'schemas') return `TABLES IN SCHEMA ${scope.schemas.join(', ')}`;
  return tables.map(({ schema, name }) => `${schema}.${name}`).join(', ');
}

function shownDestination({ destination, options }: StreamReport['definition']): string {
  switch (destination.kind) {
    case 'webhook':
      return redactUrl(destination.url);
    case 'endpoint':
      return destination.name;
    case 'kafka':
      return `${destination.brokers}/${destination.topic ?? options.topicTemplate}`;
  }
}

const LISTED: readonly Property[] = [...COLUMNS, DATABASE];

const STREAMS_COLUMNS: readonly Column[] = LISTED.map(([name, type]) => ({ name, type }));

const STATUS_COLUMNS: readonly Column[] = [
  { name: 'property', type: 'text' },
  { name: 'value', type: 'text' },
];

const CREATE_COLUMNS: readonly Column[] = [
  { name: 'stream_name', type: 'text' },
  { name: 'create_statement', type: 'text' },
];

/** By the kind of statement. */
export const STREAM_SHOW_COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  'show-streams': STREAMS_COLUMNS,
  'show-create-stream': CREATE_COLUMNS,
  'show-stream-status': STATUS_COLUMNS,
};

/** SHOW CDC STREAMS: a row for each stream whose name is like the pattern, if there is one. */
export function showStreams(reports: readonly StreamReport[], like: string | null): Result {
  const isShown = like === null ? () => true : likePattern(like);
  const shown = reports.filter(({ definition }) => isShown(definition.name));
  const rows = shown.map((report) => LISTED.map(([, , value]) => value(report)));
  return { columns: STREAMS_COLUMNS, rows, tag: 'SHOW', notices: [] };
}

/** SHOW CREATE CDC STREAM: what credentials it has, in URL or headers, is not shown. */
export function showCreateStream({ definition }: StreamReport): Result {
  const { text, isRedacted } = printShownDefinition(definition);
  return {
    columns: CREATE_COLUMNS,
    rows: [[definition.name, text]],
    tag: 'SHOW',
    notices: redactionNotice(isRedacted),
  };
}

/** What a statement says that shows `***` for something that would be needed to run it again. */
export function redactionNotice(isRedacted: boolean): Result['notices'] {
  if (!isRedacted) return [];
  return [
    {
      severity: 'NOTICE',
      code: SQLSTATE.successful_completion,
      message: 'values that may be credentials are shown as ***',
      hint: 'Put them into an endpoint or a secret, and the statement can be run again as it is.',
    },
  ];
}

/** SHOW CDC STREAM STATUS: a row for each property, its value as text. */
export function showStreamStatus(report: StreamReport): Result {
  const rows = [...COLUMNS, ...MORE_ROWS, DATABASE].map(([name, type, value]) => [
    name,
    encodeValue(value(report), type, 0, 'UTF8')?.toString() ?? null,
  ]);
  return { columns: STATUS_COLUMNS, rows, tag: 'SHOW', notices: [] };
}
