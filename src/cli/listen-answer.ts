import type { Values } from '../config/options.ts';
import type { NativeEvent } from '../receiver/native-event.ts';
import { failedEvents } from '../receiver/native-event.ts';
import type { LISTEN_OPTIONS } from './listen-options.ts';
import type { LocalAnswer } from './local-receiver.ts';

export type ListenConfig = Values<typeof LISTEN_OPTIONS>;

/** What is done about one request, and why where that is not the ordinary. */
export interface Decision {
  readonly answer: LocalAnswer;
  readonly delayMs: number;
  /** Of the events, those that are not taken although the answer is a success. */
  readonly failed: readonly NativeEvent[];
  /** For people: `rejected: orders insert`, `told to fail`. Null: it is taken. */
  readonly reason: string | null;
}

/**
 * How `walhook listen` is told to answer the `number`-th request (from 1). The first that applies: a connection that is
 * reset, a rejected event, a failure; otherwise the request is taken.
 */
export function decide(config: ListenConfig, number: number, events: readonly NativeEvent[]): Decision {
  const delayMs = isNth(number, config.stallEvery ?? 1) ? config.stall : 0;
  if (config.resetEvery !== null && isNth(number, config.resetEvery)) {
    return { answer: { kind: 'reset' }, delayMs, failed: [], reason: 'told to close the connection' };
  }
  const rejected = events.filter((event) => isRejected(config, event));
  if (rejected.length > 0) {
    const [first] = rejected;
    const reason = `rejected: ${first!.schema}.${first!.table} ${first!.op}`;
    return { answer: rejection(config.rejectStatus, rejected), delayMs, failed: rejected, reason };
  }
  if (fails(config, number)) {
    const { retryAfter } = config;
    const headers = retryAfter === null ? {} : { 'Retry-After': String(Math.ceil(retryAfter / 1000)) };
    return {
      answer: { kind: 'answer', status: config.fail ?? 500, headers },
      delayMs,
      failed: [],
      reason: 'told to fail',
    };
  }
  return { answer: { kind: 'answer', status: 204 }, delayMs, failed: [], reason: null };
}

const OPERATIONS: readonly string[] = ['insert', 'update', 'delete', 'truncate', 'read'];

/** All that is wrong with the options together. */
export function listenProblems(config: Partial<ListenConfig>): readonly string[] {
  const { fail = null, failEvery = null, failFirst = null, retryAfter = null } = config;
  const problems: string[] = [];
  if (failEvery !== null && failFirst !== null) problems.push('--fail-every and --fail-first exclude each other');
  if (retryAfter !== null && fail === null && failEvery === null && failFirst === null) {
    problems.push('--retry-after: nothing is told to fail; give --fail STATUS');
  }
  const ops = config.rejectOp ?? [];
  const unknown = ops.filter((op) => !OPERATIONS.includes(op));
  if (unknown.length > 0) problems.push(`--reject-op: "${unknown[0]}" is not one of ${OPERATIONS.join(', ')}`);
  return problems;
}

function fails({ fail, failEvery, failFirst }: ListenConfig, number: number): boolean {
  if (failFirst !== null) return number <= failFirst;
  if (failEvery !== null) return isNth(number, failEvery);
  return fail !== null;
}

function isNth(number: number, every: number): boolean {
  return number % every === 0;
}

function isRejected({ rejectTable, rejectOp, rejectKey }: ListenConfig, event: NativeEvent): boolean {
  if (rejectTable.length === 0 && rejectOp.length === 0 && rejectKey === null) return false;
  const isOfTable = [event.table, `${event.schema}.${event.table}`].some((name) => rejectTable.includes(name));
  if (rejectTable.length > 0 && !isOfTable) return false;
  if (rejectOp.length > 0 && !rejectOp.includes(event.op)) return false;
  return rejectKey === null || Object.values(event.key ?? {}).some((value) => textOf(value) === rejectKey);
}

function rejection(status: number, rejected: readonly NativeEvent[]): LocalAnswer {
  if (status >= 300) return { kind: 'answer', status };
  const body = failedEvents(rejected.map(({ id }) => id));
  return { kind: 'answer', status, headers: { 'Content-Type': 'application/json' }, body };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
