import type { DeadLetterRecord, DeliveryRecord, PeekedRequest, TestResult } from '../model/delivery-control.ts';
import { SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import type { Command, StreamActionCommand } from '../sql/command.ts';
import type { CommandContext } from './execute-command.ts';
import {
  requireAdmin,
  requireOwnership,
  requireVisible,
  standingOf,
  writableRole,
  type Standing,
} from './privileges.ts';
import { type Column, type ColumnType, type Result, shownMs, type Value } from './result.ts';
import { tagOf } from './tags.ts';
import { BLOCKED_HINT } from './validate-destination.ts';

/** Rows of SHOW CDC DELIVERIES and DEAD LETTERS, and requests of PEEK, where no LIMIT says how many. */
const DEFAULT_ROWS = 100;
const DEFAULT_PEEKED = 10;
/** What a LIMIT may ask for: all of it is held in memory. */
const MAX_ROWS = 1_000;
const MAX_PEEKED = 100;

export type DeliveryCommand = Extract<
  Command,
  {
    kind:
      | 'show-deliveries'
      | 'show-dead-letters'
      | 'peek-stream'
      | 'test'
      | 'retry-dead-letters'
      | 'discard-dead-letters';
  }
>;

const KINDS: ReadonlySet<Command['kind']> = new Set<DeliveryCommand['kind']>([
  'show-deliveries',
  'show-dead-letters',
  'peek-stream',
  'test',
  'retry-dead-letters',
  'discard-dead-letters',
]);

export function isDeliveryCommand(command: Command): command is DeliveryCommand {
  return KINDS.has(command.kind);
}

/** What a row is about, and whether the client may see what events have in them. */
interface Shown<T> {
  readonly subject: T;
  readonly stream: string;
  readonly isOpen: boolean;
}

/** `of: 'event'`: what events have in them, or may repeat of it. Whoever sees the stream alone gets null. */
type Table<T> = ReadonlyArray<readonly [name: string, type: ColumnType, value: (row: Shown<T>) => Value, of?: 'event']>;

const DELIVERIES: Table<DeliveryRecord> = [
  ['delivery_id', 'text', ({ subject }) => subject.id],
  ['stream_name', 'text', ({ stream }) => stream],
  ['event_ids', 'text', ({ subject }) => idsOf(subject)],
  ['attempt', 'int4', ({ subject }) => subject.attempt],
  ['started_at', 'timestamptz', ({ subject }) => subject.startedAtMs],
  ['duration_ms', 'float8', ({ subject }) => shownMs(subject.durationMs)],
  ['http_status', 'int4', ({ subject }) => subject.httpStatus],
  ['outcome', 'text', ({ subject }) => subject.outcome],
  ['error', 'text', ({ subject }) => subject.error],
  ['response_excerpt', 'text', ({ subject }) => textOf(subject.responseExcerpt), 'event'],
  ['next_retry_at', 'timestamptz', ({ subject }) => subject.nextRetryAtMs],
  ['error_code', 'text', ({ subject }) => subject.errorCode],
  ['dns_ms', 'float8', ({ subject }) => shownMs(subject.dnsMs)],
  ['connect_ms', 'float8', ({ subject }) => shownMs(subject.connectMs)],
  ['tls_ms', 'float8', ({ subject }) => shownMs(subject.tlsMs)],
  ['first_byte_ms', 'float8', ({ subject }) => shownMs(subject.firstByteMs)],
];

const DEAD_LETTERS: Table<DeadLetterRecord> = [
  ['id', 'text', ({ subject }) => subject.eventId],
  ['stream_name', 'text', ({ stream }) => stream],
  ['event_id', 'text', ({ subject }) => subject.eventId],
  ['schema_name', 'text', ({ subject }) => subject.schema],
  ['table_name', 'text', ({ subject }) => subject.table],
  ['op', 'text', ({ subject }) => subject.operation],
  ['key', 'jsonb', ({ subject }) => subject.key, 'event'],
  ['reason', 'text', ({ subject }) => subject.reason],
  ['http_status', 'int4', ({ subject }) => subject.httpStatus],
  ['attempts', 'int4', ({ subject }) => subject.attempts],
  ['first_failed_at', 'timestamptz', ({ subject }) => subject.firstFailedAtMs],
  ['parked_at', 'timestamptz', ({ subject }) => subject.parkedAtMs],
  ['payload', 'jsonb', ({ subject }) => subject.payload, 'event'],
  ['response_excerpt', 'text', ({ subject }) => textOf(subject.responseExcerpt), 'event'],
];

const PEEKED: Table<PeekedRequest> = [
  ['request_id', 'text', ({ subject }) => subject.requestId],
  ['attempt', 'int4', ({ subject }) => subject.attempt],
  ['due_at', 'timestamptz', ({ subject }) => subject.dueAtMs],
  ['events', 'int4', ({ subject }) => subject.events],
  ['event_ids', 'text', ({ subject }) => idsOf(subject)],
  // Path and headers may have columns of the key in them.
  ['path', 'text', ({ subject }) => subject.path, 'event'],
  ['body', 'text', ({ subject }) => subject.body, 'event'],
  ['headers', 'jsonb', ({ subject }) => headOf(subject), 'event'],
];

const TESTED: Table<TestResult> = [
  ['ok', 'bool', ({ subject }) => subject.ok],
  ['http_status', 'int4', ({ subject }) => subject.httpStatus],
  ['total_ms', 'float8', ({ subject }) => shownMs(subject.totalMs)],
  ['signature_sent', 'bool', ({ subject }) => subject.signatureSent],
  ['response_excerpt', 'text', ({ subject }) => textOf(subject.responseExcerpt)],
  ['error', 'text', ({ subject }) => subject.error],
];

/** By the kind of the command: known before it runs. */
export const DELIVERY_COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  'show-deliveries': columnsOf(DELIVERIES),
  'show-dead-letters': columnsOf(DEAD_LETTERS),
  'peek-stream': columnsOf(PEEKED),
  test: columnsOf(TESTED),
};

/** Of those, the columns that are null to whoever sees the stream and does not own it. */
export const EVENT_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  'show-deliveries': eventColumnsOf(DELIVERIES),
  'show-dead-letters': eventColumnsOf(DEAD_LETTERS),
  'peek-stream': eventColumnsOf(PEEKED),
};

/** Raises what `DeliveryControl` raises, and 42501 for what the client may not do or see. */
export async function executeDeliveryCommand(command: DeliveryCommand, context: CommandContext): Promise<Result> {
  const { delivery } = context.control;
  switch (command.kind) {
    case 'show-deliveries': {
      const streams = await visibleStreams(command.stream, context);
      const records = await delivery.deliveries([...streams.names], limitOf(command.limit, DEFAULT_ROWS, MAX_ROWS));
      return result(DELIVERIES, shown(records, streams), 'SHOW', cutNotice(command.limit, MAX_ROWS));
    }
    case 'show-dead-letters': {
      const streams = await visibleStreams(command.stream, context);
      const letters = await delivery.deadLetters([...streams.names], limitOf(command.limit, DEFAULT_ROWS, MAX_ROWS));
      return result(DEAD_LETTERS, shown(letters, streams), 'SHOW', cutNotice(command.limit, MAX_ROWS));
    }
    case 'peek-stream': {
      const { standing, owner } = await visibleStream(command.name, context);
      const requests = await delivery.peek(command.name, limitOf(command.limit, DEFAULT_PEEKED, MAX_PEEKED));
      const isOpen = standing.owns(owner);
      const rows = requests.map((subject) => ({ subject, stream: command.name, isOpen }));
      return result(PEEKED, rows, tagOf(command), cutNotice(command.limit, MAX_PEEKED));
    }
    case 'test':
      return test(command, context);
    case 'retry-dead-letters':
    case 'discard-dead-letters': {
      const role = await writableRole(command, context.questioner);
      await requireOwnership('stream', [command.stream], context);
      const count =
        command.kind === 'retry-dead-letters'
          ? await delivery.retryDeadLetters(command.stream, command.id, role)
          : await delivery.discardDeadLetters(command.stream, command.id, role);
      return { columns: [], rows: [], tag: `${tagOf(command)} ${count}`, notices: [] };
    }
  }
}

/** RESTART, RESET CIRCUIT and SKIP EVENT: the command's tag is the caller's to say. */
export async function executeDeliveryAction(
  name: string,
  action: StreamActionCommand,
  role: string,
  { control: { delivery }, signal }: CommandContext,
): Promise<void> {
  if (action.kind === 'skip-event') await delivery.skipEvent(name, action.id, role, signal);
  else if (action.kind === 'restart') await delivery.restart(name, role);
  else if (action.kind === 'reset-circuit') await delivery.resetCircuit(name, role);
}

async function test(command: Extract<DeliveryCommand, { kind: 'test' }>, context: CommandContext): Promise<Result> {
  const { target } = command;
  await writableRole(command, context.questioner);
  if (target.kind !== 'webhook') await requireOwnership(target.kind, [target.name], context);
  else if (context.info.requireEndpoint) {
    await requireAdmin('test a URL', 'Here requests go to endpoints only.', context.questioner);
  }
  const tested = await context.control.delivery.test(target, context.signal);
  const { columns, rows, tag } = result(TESTED, [{ subject: tested, stream: '', isOpen: true }], tagOf(command));
  return { columns, rows, tag, notices: tested.ok ? [] : [failedTest(tested)] };
}

function failedTest({ httpStatus, error, isBlocked }: TestResult): PgNotice {
  return {
    severity: 'WARNING',
    code: httpStatus === null ? SQLSTATE.fdw_unable_to_establish_connection : SQLSTATE.fdw_error,
    message:
      httpStatus === null
        ? `the endpoint could not be reached: ${error}`
        : `the endpoint did not accept the event: ${error}`,
    ...(isBlocked ? { hint: BLOCKED_HINT } : {}),
  };
}

interface VisibleStreams {
  readonly names: ReadonlySet<string>;
  readonly nameOf: ReadonlyMap<string, string>;
  /** Of those whose events the client may see. */
  readonly open: ReadonlySet<string>;
}

/** 42704 and 42501 where one is named. */
async function visibleStreams(name: string | null, context: CommandContext): Promise<VisibleStreams> {
  const { control, staged, questioner } = context;
  const reports =
    name === null ? await control.reports(staged.transaction) : [await control.report(name, staged.transaction)];
  const definitions = reports.map(({ definition }) => definition);
  const standing = await standingOf(
    definitions.map(({ owner }) => owner),
    questioner,
  );
  if (name !== null) requireVisible(standing, 'stream', name, definitions[0]!.owner);
  const seen = definitions.filter(({ owner }) => standing.isViewer || standing.owns(owner));
  return {
    names: new Set(seen.map((definition) => definition.name)),
    nameOf: new Map(seen.map((definition) => [definition.id, definition.name])),
    open: new Set(seen.filter(({ owner }) => standing.owns(owner)).map(({ id }) => id)),
  };
}

async function visibleStream(
  name: string,
  { control, staged, questioner }: CommandContext,
): Promise<{ readonly standing: Standing; readonly owner: string }> {
  const { owner } = (await control.report(name, staged.transaction)).definition;
  const standing = await standingOf([owner], questioner);
  requireVisible(standing, 'stream', name, owner);
  return { standing, owner };
}

function shown<T extends { readonly streamId: string }>(
  subjects: readonly T[],
  { nameOf, open }: VisibleStreams,
): readonly Shown<T>[] {
  return subjects.map((subject) => ({
    subject,
    stream: nameOf.get(subject.streamId) ?? '',
    isOpen: open.has(subject.streamId),
  }));
}

function result<T>(table: Table<T>, rows: readonly Shown<T>[], tag: string, notices: Result['notices'] = []): Result {
  return {
    columns: columnsOf(table),
    rows: rows.map((row) => table.map(([, , value, of]) => (of === 'event' && !row.isOpen ? null : value(row)))),
    tag,
    notices,
  };
}

/** What a statement says that was asked for more rows than it ever shows. */
function cutNotice(asked: number | null, most: number): Result['notices'] {
  if (asked === null || asked <= most) return [];
  const message = `LIMIT ${asked} is more than is shown at once, which is ${most}`;
  return [{ severity: 'NOTICE', code: SQLSTATE.successful_completion, message }];
}

function columnsOf<T>(table: Table<T>): readonly Column[] {
  return table.map(([name, type]) => ({ name, type }));
}

function eventColumnsOf<T>(table: Table<T>): readonly string[] {
  return table.flatMap(([name, , , of]) => (of === 'event' ? [name] : []));
}

function limitOf(asked: number | null, byDefault: number, most: number): number {
  return Math.min(asked ?? byDefault, most);
}

function idsOf({ eventIds, events }: { readonly eventIds: readonly string[]; readonly events: number }): string {
  const rest = events - eventIds.length;
  return eventIds.join(', ') + (rest > 0 ? `, and ${rest} more` : '');
}

function headOf({ headers }: PeekedRequest): string | null {
  return headers && JSON.stringify(Object.fromEntries(headers));
}

/** A text of Postgres's has no NUL. */
function textOf(text: string | null): string | null {
  return text === null ? null : text.replaceAll('\0', '');
}
