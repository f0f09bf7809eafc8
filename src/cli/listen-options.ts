import { count, duration, oneOf, type OptionSpec } from '../config/option-spec.ts';

/** Statuses that a receiver may answer with on its own. */
function status(text: string): number {
  const value = /^\d{3}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(value >= 200 && value <= 599)) throw new Error(`"${text}" is no status; write a number from 200 to 599`);
  return value;
}

function optional<T>(parse: (text: string) => T): (text: string) => T | null {
  return (text) => (text === '' ? null : parse(text));
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

const MAX_COUNT = 1_000_000_000;
const every = optional(count(1, MAX_COUNT));
const ALL = 'Without it every request is.';

/** The options of `walhook listen`: what is verified and shown, and how it is to misbehave. */
export const LISTEN_OPTIONS = {
  secret: {
    name: 'secret',
    placeholder: 'LIST',
    default: '',
    secret: true,
    text: 'The signing secrets that are valid, separated by commas. With them a request that none of them has signed is answered with 401; without, signatures are not looked at.',
    parse: list,
  } satisfies OptionSpec<readonly string[]>,
  output: {
    name: 'output',
    placeholder: 'FORM',
    default: 'full',
    text: 'What is printed of a request: full (headers and body), line (one line each), json (one JSON object each), none.',
    parse: oneOf(['full', 'line', 'json', 'none'] as const),
  } satisfies OptionSpec<string>,
  count: {
    name: 'count',
    placeholder: 'N',
    default: '',
    text: 'End after so many requests; the exit code is 0 only if each of them was verified and answered with 2xx.',
    parse: every,
  } satisfies OptionSpec<number | null>,
  fail: {
    name: 'fail',
    placeholder: 'STATUS',
    default: '',
    text: 'Answer with this status instead of 204, as in 503, 429 or 410.',
    parse: optional(status),
  } satisfies OptionSpec<number | null>,
  failEvery: {
    name: 'fail-every',
    placeholder: 'N',
    default: '',
    text: `Only each N-th request fails (with 500, where --fail says nothing). ${ALL}`,
    parse: every,
  } satisfies OptionSpec<number | null>,
  failFirst: {
    name: 'fail-first',
    placeholder: 'N',
    default: '',
    text: 'Only the first N requests fail: an endpoint that comes back.',
    parse: every,
  } satisfies OptionSpec<number | null>,
  retryAfter: {
    name: 'retry-after',
    placeholder: 'DURATION',
    default: '',
    text: 'Send Retry-After with what fails, in whole seconds.',
    parse: optional(duration(0)),
  } satisfies OptionSpec<number | null>,
  stall: {
    name: 'stall',
    placeholder: 'DURATION',
    default: '0',
    text: 'Wait so long before each answer.',
    parse: duration(0),
  } satisfies OptionSpec<number>,
  stallEvery: {
    name: 'stall-every',
    placeholder: 'N',
    default: '',
    text: 'Only each N-th answer waits.',
    parse: every,
  } satisfies OptionSpec<number | null>,
  resetEvery: {
    name: 'reset-every',
    placeholder: 'N',
    default: '',
    text: 'Take each N-th request, and close its connection without an answer.',
    parse: every,
  } satisfies OptionSpec<number | null>,
  rejectTable: {
    name: 'reject-table',
    placeholder: 'LIST',
    default: '',
    text: 'Reject requests that hold an event of these tables: names, with or without their schema, separated by commas.',
    parse: list,
  } satisfies OptionSpec<readonly string[]>,
  rejectOp: {
    name: 'reject-op',
    placeholder: 'LIST',
    default: '',
    text: 'Reject requests that hold such an event: insert, update, delete, truncate, read. With --reject-table both must hold.',
    parse: list,
  } satisfies OptionSpec<readonly string[]>,
  rejectKey: {
    name: 'reject-key',
    placeholder: 'TEXT',
    default: '',
    text: 'Reject requests that hold an event with this value in its key. With the other two all must hold.',
    parse: optional((text: string) => text),
  } satisfies OptionSpec<string | null>,
  rejectStatus: {
    name: 'reject-status',
    placeholder: 'STATUS',
    default: '422',
    text: 'What rejected requests are answered with. 200 acknowledges the others of a batch, and lists the rejected ones as failed.',
    parse: status,
  } satisfies OptionSpec<number>,
};
