/**
 * Every metric by name. `walhook_<part>_<what>_<unit>`; labels are bounded: a stream, a table, an outcome, a class of
 * codes; never a URL, a key or an event id.
 */
export interface MetricSpec {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
}

const STREAM = ['stream'] as const;

export const METRICS = {
  streams: { name: 'walhook_streams', kind: 'gauge', help: 'Streams by status.', labels: ['status'] },
  eventsCaptured: {
    name: 'walhook_delivery_events_captured_total',
    kind: 'counter',
    help: 'Events captured for the stream.',
    labels: STREAM,
  },
  eventsDelivered: {
    name: 'walhook_delivery_events_delivered_total',
    kind: 'counter',
    help: 'Events that the endpoint acknowledged.',
    labels: STREAM,
  },
  eventsFailed: {
    name: 'walhook_delivery_events_failed_total',
    kind: 'counter',
    help: 'Events of attempts that failed; one that is retried counts each time.',
    labels: STREAM,
  },
  eventsRetried: {
    name: 'walhook_delivery_events_retried_total',
    kind: 'counter',
    help: 'Events sent again after a failed attempt.',
    labels: STREAM,
  },
  deadLetters: {
    name: 'walhook_delivery_dead_letters',
    kind: 'gauge',
    help: 'Events given up on and kept.',
    labels: STREAM,
  },
  eventsPending: {
    name: 'walhook_delivery_events_pending',
    kind: 'gauge',
    help: 'Events captured, and neither acknowledged nor given up on.',
    labels: STREAM,
  },
  lagSeconds: {
    name: 'walhook_delivery_lag_seconds',
    kind: 'gauge',
    help: 'Age of the oldest pending event since its commit; 0 with nothing pending.',
    labels: STREAM,
  },
  requestsInFlight: {
    name: 'walhook_delivery_requests_in_flight',
    kind: 'gauge',
    help: 'Requests sent and not yet answered.',
    labels: STREAM,
  },
  captureUp: {
    name: 'walhook_capture_streaming',
    kind: 'gauge',
    help: '1 while changes are being received from the upstream.',
    labels: [],
  },
  changesCaptured: {
    name: 'walhook_capture_changes_total',
    kind: 'counter',
    help: 'Row changes written to the log.',
    labels: [],
  },
  transactionsCaptured: {
    name: 'walhook_capture_transactions_total',
    kind: 'counter',
    help: 'Transactions written to the log.',
    labels: [],
  },
  captureLagBytes: {
    name: 'walhook_capture_lag_bytes',
    kind: 'gauge',
    help: 'WAL between what is confirmed to the upstream and its end.',
    labels: [],
  },
  logBytes: { name: 'walhook_log_bytes', kind: 'gauge', help: 'Change data kept in the log.', labels: [] },
  connections: {
    name: 'walhook_proxy_connections',
    kind: 'gauge',
    help: 'Client connections that are open.',
    labels: [],
  },
  connectionsTotal: {
    name: 'walhook_proxy_connections_total',
    kind: 'counter',
    help: 'Client connections accepted.',
    labels: [],
  },
  statements: {
    name: 'walhook_proxy_statements_intercepted_total',
    kind: 'counter',
    help: 'Statements that walhook answered itself.',
    labels: [],
  },
  proxyBytes: {
    name: 'walhook_proxy_bytes_total',
    kind: 'counter',
    help: 'Bytes relayed, by direction.',
    labels: ['direction'],
  },
} as const satisfies Record<string, MetricSpec>;

export type MetricKey = keyof typeof METRICS;
