import type { CaptureStatus, StreamReport, StreamStatusName } from '../model/status.ts';
import { SLOT_WAL_STATUSES, STREAM_STATUSES } from '../model/status.ts';
import { REFUSALS, type RefusalReason } from '../frontend/admission.ts';
import type { SetMetric } from '../metrics/registry.ts';
import { parseLsn } from '../postgres/lsn.ts';

interface EngineNumbers {
  reports(): Promise<readonly StreamReport[]>;
  /** By database. */
  captureStatus(): Promise<ReadonlyMap<string, CaptureStatus>>;
  gapCount(): number;
}

interface FrontendNumbers {
  stats(): {
    readonly connectionsOpen: number;
    readonly connectionsTotal: number;
    readonly upstreamConnects: number;
    readonly upstreamConnectMsTotal: number;
    readonly upstreamConnectFailures: number;
    readonly statementsIntercepted: number;
    readonly interceptionMsTotal: number;
    readonly bytesToUpstream: number;
    readonly bytesToClients: number;
    readonly tlsConnectionsOpen: number;
    readonly authenticationsFailed: number;
    readonly connectionsRefused: ReadonlyMap<RefusalReason, number>;
  };
}

/** Asks each part for its numbers and sets the metrics they are. */
export async function collectMetrics(set: SetMetric, engine: EngineNumbers, frontend: FrontendNumbers): Promise<void> {
  const [reports, captures] = await Promise.all([engine.reports(), engine.captureStatus()]);
  for (const status of STREAM_STATUSES) set('streams', countStatus(reports, status), status);
  for (const report of reports) setStream(set, report);
  for (const [database, capture] of captures) setCapture(set, database, capture);
  set('captureGaps', engine.gapCount());
  const proxy = frontend.stats();
  set('connections', proxy.connectionsOpen);
  set('connectionsTotal', proxy.connectionsTotal);
  set('tlsConnections', proxy.tlsConnectionsOpen);
  set('authenticationsFailed', proxy.authenticationsFailed);
  for (const reason of REFUSALS) set('connectionsRefused', proxy.connectionsRefused.get(reason) ?? 0, reason);
  set('upstreamConnects', proxy.upstreamConnects);
  set('upstreamConnectSeconds', proxy.upstreamConnectMsTotal / 1_000);
  set('upstreamConnectFailures', proxy.upstreamConnectFailures);
  set('statements', proxy.statementsIntercepted);
  set('interceptionSeconds', proxy.interceptionMsTotal / 1_000);
  set('proxyBytes', proxy.bytesToUpstream, 'to_upstream');
  set('proxyBytes', proxy.bytesToClients, 'to_clients');
}

function setStream(set: SetMetric, { definition, delivery, lagSeconds }: StreamReport): void {
  const { name } = definition;
  set('eventsCaptured', delivery.eventsCaptured, name);
  set('eventsDelivered', delivery.eventsDelivered, name);
  set('eventsFailed', delivery.eventsFailed, name);
  set('eventsRetried', delivery.eventsRetried, name);
  set('eventsFiltered', delivery.eventsFiltered, name);
  set('filterDoubts', delivery.filterDoubts, name);
  set('deadLetters', delivery.deadLetters, name);
  set('eventsDiscarded', delivery.eventsDiscarded, name);
  set('circuitOpen', delivery.circuitState === 'closed' ? 0 : 1, name);
  set('keysBlocked', delivery.blockedKeys, name);
  set('eventsPending', delivery.pendingEvents, name);
  set('lagSeconds', lagSeconds, name);
  set('requestsInFlight', delivery.inFlight, name);
  set('bytesPending', delivery.pendingBytes, name);
  set('eventsParked', delivery.parkedEvents, name);
  if (delivery.measures === null) return;
  const { attempts, attemptSeconds, endToEndSeconds, bytesSent } = delivery.measures;
  for (const { outcomeClass, code, count } of attempts) set('attempts', count, name, outcomeClass, code);
  set('attemptSeconds', attemptSeconds, name);
  set('endToEndSeconds', endToEndSeconds, name);
  set('bytesSent', bytesSent, name);
}

function setCapture(set: SetMetric, database: string, capture: CaptureStatus): void {
  set('captureUp', capture.state === 'streaming' ? 1 : 0, database);
  set('changesCaptured', capture.changesCaptured, database);
  set('transactionsCaptured', capture.transactionsCaptured, database);
  set('captureLagBytes', captureLagBytes(capture), database);
  for (const status of SLOT_WAL_STATUSES) {
    set('slotWalStatus', capture.slotWalStatus === status ? 1 : 0, database, status);
  }
  set('heartbeatSeconds', capture.heartbeatAgeMs / 1_000, database);
  set('logBytes', capture.logBytes, database);
}

function countStatus(reports: readonly StreamReport[], status: StreamStatusName): number {
  return reports.filter((report) => report.status === status).length;
}

function captureLagBytes({ upstreamLsn, confirmedLsn }: CaptureStatus): number {
  const end = upstreamLsn === null ? null : parseLsn(upstreamLsn);
  const confirmed = confirmedLsn === null ? null : parseLsn(confirmedLsn);
  if (end === null || confirmed === null) return 0;
  return Math.max(0, Number(end - confirmed));
}
