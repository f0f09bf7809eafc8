import type { CaptureStatus, StreamReport, StreamStatusName } from '../model/status.ts';
import { STREAM_STATUSES } from '../model/status.ts';
import type { SetMetric } from '../metrics/registry.ts';
import { parseLsn } from '../postgres/lsn.ts';

interface EngineNumbers {
  reports(): Promise<readonly StreamReport[]>;
  captureStatus(): Promise<CaptureStatus>;
}

interface FrontendNumbers {
  stats(): {
    readonly connectionsOpen: number;
    readonly connectionsTotal: number;
    readonly statementsIntercepted: number;
    readonly bytesToUpstream: number;
    readonly bytesToClients: number;
  };
}

/** Asks each part for its numbers and sets the metrics they are. */
export async function collectMetrics(set: SetMetric, engine: EngineNumbers, frontend: FrontendNumbers): Promise<void> {
  const [reports, capture] = await Promise.all([engine.reports(), engine.captureStatus()]);
  for (const status of STREAM_STATUSES) set('streams', countStatus(reports, status), status);
  for (const report of reports) setStream(set, report);
  set('captureUp', capture.state === 'streaming' ? 1 : 0);
  set('changesCaptured', capture.changesCaptured);
  set('transactionsCaptured', capture.transactionsCaptured);
  set('captureLagBytes', captureLagBytes(capture));
  set('logBytes', capture.logBytes);
  const proxy = frontend.stats();
  set('connections', proxy.connectionsOpen);
  set('connectionsTotal', proxy.connectionsTotal);
  set('statements', proxy.statementsIntercepted);
  set('proxyBytes', proxy.bytesToUpstream, 'to_upstream');
  set('proxyBytes', proxy.bytesToClients, 'to_clients');
}

function setStream(set: SetMetric, { definition, delivery, lagSeconds }: StreamReport): void {
  const { name } = definition;
  set('eventsCaptured', delivery.eventsCaptured, name);
  set('eventsDelivered', delivery.eventsDelivered, name);
  set('eventsFailed', delivery.eventsFailed, name);
  set('eventsRetried', delivery.eventsRetried, name);
  set('deadLetters', delivery.deadLetters, name);
  set('eventsPending', delivery.pendingEvents, name);
  set('lagSeconds', lagSeconds, name);
  set('requestsInFlight', delivery.inFlight, name);
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
