/**
 * Every metric by name. `walhook_<part>_<what>_<unit>`; labels are bounded: a stream, a table, an outcome, a class of
 * codes; never a URL, a key or an event id.
 */
export interface MetricSpec {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

const STREAM = ['stream'] as const;
const DATABASE = ['database'] as const;

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
  attempts: {
    name: 'walhook_delivery_attempts_total',
    kind: 'counter',
    help: 'Requests sent, by what became of them (class) and the answer (2xx to 5xx, 429, none). Since the process began.',
    labels: ['stream', 'class', 'code'],
  },
  attemptSeconds: {
    name: 'walhook_delivery_attempt_seconds',
    kind: 'histogram',
    help: 'How long requests took, the answer included. Since the process began.',
    labels: STREAM,
  },
  endToEndSeconds: {
    name: 'walhook_delivery_end_to_end_seconds',
    kind: 'histogram',
    help: 'From the commit of a change to its acknowledgement; replays are left out. Since the process began.',
    labels: STREAM,
  },
  bytesSent: {
    name: 'walhook_delivery_bytes_sent_total',
    kind: 'counter',
    help: 'Bytes of request bodies, before compression. Since the process began.',
    labels: STREAM,
  },
  bytesPending: {
    name: 'walhook_delivery_bytes_pending',
    kind: 'gauge',
    help: 'Change data of the events that are pending.',
    labels: STREAM,
  },
  eventsParked: {
    name: 'walhook_delivery_events_parked',
    kind: 'gauge',
    help: 'Pending events that wait on disk for their keys.',
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
  eventsFiltered: {
    name: 'walhook_delivery_events_filtered_total',
    kind: 'counter',
    help: 'Changes that the filters of the stream dropped.',
    labels: STREAM,
  },
  filterDoubts: {
    name: 'walhook_delivery_filter_doubts_total',
    kind: 'counter',
    help: 'Events sent because a filter could not tell: a value that was not sent, or an error while computing.',
    labels: STREAM,
  },
  deadLetters: {
    name: 'walhook_delivery_dead_letters',
    kind: 'gauge',
    help: 'Events given up on and kept.',
    labels: STREAM,
  },
  circuitOpen: {
    name: 'walhook_delivery_circuit_open',
    kind: 'gauge',
    help: '1 while the circuit breaker keeps requests from the endpoint, but for probes.',
    labels: STREAM,
  },
  keysBlocked: {
    name: 'walhook_delivery_keys_blocked',
    kind: 'gauge',
    help: 'Keys that wait for what becomes of a dead letter.',
    labels: STREAM,
  },
  eventsDiscarded: {
    name: 'walhook_delivery_events_discarded_total',
    kind: 'counter',
    help: 'Dead letters that were discarded.',
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
    labels: DATABASE,
  },
  changesCaptured: {
    name: 'walhook_capture_changes_total',
    kind: 'counter',
    help: 'Row changes written to the log.',
    labels: DATABASE,
  },
  transactionsCaptured: {
    name: 'walhook_capture_transactions_total',
    kind: 'counter',
    help: 'Transactions written to the log.',
    labels: DATABASE,
  },
  captureLagBytes: {
    name: 'walhook_capture_lag_bytes',
    kind: 'gauge',
    help: 'WAL between what is confirmed to the upstream and its end.',
    labels: DATABASE,
  },
  captureGaps: {
    name: 'walhook_capture_gaps_total',
    kind: 'counter',
    help: 'Stretches of the upstream that could not be read any more, and were announced.',
    labels: [],
  },
  slotWalStatus: {
    name: 'walhook_capture_slot_wal_status',
    kind: 'gauge',
    help: '1 for what the server says of the WAL that the slot needs: reserved, extended, unreserved (it may be taken away) or lost.',
    labels: ['database', 'status'],
  },
  heartbeatSeconds: {
    name: 'walhook_capture_heartbeat_age_seconds',
    kind: 'gauge',
    help: 'Since a heartbeat last came back by the slot; 0 while none has.',
    labels: DATABASE,
  },
  logBytes: { name: 'walhook_log_bytes', kind: 'gauge', help: 'Change data kept in the log.', labels: DATABASE },
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
  tlsConnections: {
    name: 'walhook_proxy_tls_connections',
    kind: 'gauge',
    help: 'Client connections that are open and encrypted.',
    labels: [],
  },
  authenticationsFailed: {
    name: 'walhook_proxy_authentications_failed_total',
    kind: 'counter',
    help: 'Authentications that the upstream refused, that took too long, or that cannot work through walhook.',
    labels: [],
  },
  connectionsRefused: {
    name: 'walhook_proxy_connections_refused_total',
    kind: 'counter',
    help: 'Client connections that walhook itself refused, by reason: a limit, or TLS.',
    labels: ['reason'],
  },
  upstreamConnects: {
    name: 'walhook_proxy_upstream_connects_total',
    kind: 'counter',
    help: 'Connections to the upstream made for clients.',
    labels: [],
  },
  upstreamConnectSeconds: {
    name: 'walhook_proxy_upstream_connect_seconds_total',
    kind: 'counter',
    help: 'Time that those took to make.',
    labels: [],
  },
  upstreamConnectFailures: {
    name: 'walhook_proxy_upstream_connect_failures_total',
    kind: 'counter',
    help: 'Clients for whom no server of the upstream was to be had.',
    labels: [],
  },
  statements: {
    name: 'walhook_proxy_statements_intercepted_total',
    kind: 'counter',
    help: 'Statements that walhook answered itself.',
    labels: [],
  },
  interceptionSeconds: {
    name: 'walhook_proxy_interception_seconds_total',
    kind: 'counter',
    help: 'Time for which messages of clients were held up to answer statements in them, or to wait for their turn.',
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

/** Every metric as `docs/` shows it. */
export function metricTable(): string {
  const rows = Object.values(METRICS).map(({ name, kind, labels, help }) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${kind} | ${shown === '' ? '–' : shown} | ${help} |`;
  });
  return ['| metric | kind | labels | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
