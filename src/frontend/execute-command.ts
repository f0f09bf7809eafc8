import type { StreamControl } from '../model/stream-control.ts';
import type { Requirement } from '../model/requirement.ts';
import type { ServerInfo } from '../model/server-info.ts';
import type { StreamReport } from '../model/status.ts';
import { PgError, SQLSTATE, type PgNotice } from '../postgres/sqlstate.ts';
import type { Command } from '../sql/command.ts';
import { executeReplay } from './replay.ts';
import { executeBackfill, isBackfill, type BackfillCommand } from './backfill.ts';
import {
  changeOf,
  isOfTheMoment,
  isTransactional,
  type ChangeContext,
  type TransactionalCommand,
} from './change-of.ts';
import {
  executeDeliveryAction,
  executeDeliveryCommand,
  isDeliveryCommand,
  type DeliveryCommand,
} from './delivery-commands.ts';
import { explainCreate } from './explain.ts';
import {
  requireOwnership,
  requireVisible,
  standingOf,
  writableRole,
  type PrivilegeContext,
  type Standing,
} from './privileges.ts';
import type { Result } from './result.ts';
import { showCreateStream, showStreams, showStreamStatus } from './show.ts';
import {
  showCreateEndpoint,
  showEndpoints,
  showHistory,
  showOptions,
  showSecrets,
  showSettings,
  showTables,
  showVersion,
} from './show-objects.ts';
import { sessionDatabase } from './session-database.ts';
import { showCheck, showSlots } from './show-upstream.ts';
import { onlyShows, tagOf } from './tags.ts';
import { validateDestination } from './validate-destination.ts';

/** Where a command runs. */
export interface CommandContext extends PrivilegeContext {
  readonly control: PrivilegeContext['control'] & StreamControl;
  readonly info: ServerInfo;
  /** A block is open, or a transaction that other statements of the client's belong to. */
  readonly isInTransaction: boolean;
  readonly signal: AbortSignal;
}

/** 25001 for a command that cannot be part of a transaction. */
export function preventInTransaction(command: Command, isInTransaction: boolean): void {
  if (!isInTransaction || onlyShows(command) || isTransactional(command)) return;
  throw new PgError('active_sql_transaction', `${tagOf(command)} cannot run inside a transaction block`);
}

/**
 * Runs a command in the client's name. Raises what `CatalogControl`, `StreamControl` and `changeOf` raise, 25001 inside a
 * transaction for what cannot be part of one, 25006 in a read-only one, 42501 for what the client may not do or see.
 */
export async function executeCommand(command: Command, context: CommandContext): Promise<Result> {
  preventInTransaction(command, context.isInTransaction);
  context.signal.throwIfAborted();
  const changing = { ...context, requireEndpoint: context.info.requireEndpoint, notices: [] };
  if (command.kind === 'alter-stream' && isOfTheMoment(command.action)) return setState(command, context);
  if (isBackfill(command)) return executeBackfill(command, context);
  if (isDeliveryCommand(command)) {
    await context.staged.refresh(context.questioner);
    return executeDeliveryCommand(command, context);
  }
  if (command.kind === 'replay-stream') return executeReplay(command, context);
  if (isTransactional(command)) return done(command, await change(command, changing));
  await context.staged.refresh(context.questioner);
  if (command.kind === 'explain-create-stream') {
    return explainCreate(command.create, await writableRole(command, context.questioner), changing);
  }
  return show(command, context);
}

/** Validates at once; what is changed in a transaction is staged until its end. */
async function change(
  command: TransactionalCommand,
  context: CommandContext & ChangeContext,
): Promise<readonly PgNotice[]> {
  const { control, staged, questioner, isInTransaction, signal } = context;
  const role = await writableRole(command, questioner);
  await staged.refresh(questioner);
  const wanted = await changeOf(command, role, context);
  await validateDestination(wanted, role, context);
  signal.throwIfAborted();
  const notices = isInTransaction
    ? await staged.stage(wanted, role, questioner)
    : await control.execute(wanted, role, signal);
  return [...context.notices, ...notices];
}

function done(command: Command, notices: Result['notices']): Result {
  return { columns: [], rows: [], tag: tagOf(command), notices };
}

type StateCommand = Extract<Command, { kind: 'alter-stream' }>;

/** PAUSE, RESUME and what else is done at once, of one stream; PAUSE and RESUME also of all of the session's database that the client may change. */
async function setState(command: StateCommand, context: CommandContext): Promise<Result> {
  const { control, questioner } = context;
  const role = await writableRole(command, questioner);
  const state = command.action.kind === 'pause' ? 'paused' : 'running';
  if (command.name !== null) {
    await requireOwnership('stream', [command.name], context);
    const { action } = command;
    if (action.kind === 'restart' || action.kind === 'reset-circuit' || action.kind === 'skip-event') {
      await executeDeliveryAction(command.name, action, role, context);
      return done(command, []);
    }
    return done(command, await control.setDesiredState(command.name, state, role));
  }
  const here = await sessionDatabase(questioner);
  const definitions = (await control.reports(null))
    .map(({ definition }) => definition)
    .filter(({ database }) => database === here);
  const standing = await standingOf(
    definitions.map(({ owner }) => owner),
    questioner,
  );
  const notices: PgNotice[] = [];
  for (const { name, owner, desiredState } of definitions) {
    if (!standing.owns(owner)) {
      const message = `permission denied for CDC stream ${name}, skipping it`;
      notices.push({ severity: 'WARNING', code: SQLSTATE.insufficient_privilege, message });
    } else if (desiredState !== state) notices.push(...(await control.setDesiredState(name, state, role)));
  }
  return done(command, notices);
}

type ShowCommand = Exclude<
  Command,
  | TransactionalCommand
  | StateCommand
  | BackfillCommand
  | DeliveryCommand
  | { kind: 'explain-create-stream' | 'replay-stream' }
>;

async function show(command: ShowCommand, context: CommandContext): Promise<Result> {
  const { control, info, staged, questioner } = context;
  const { transaction } = staged;
  switch (command.kind) {
    case 'show-streams':
      return showStreams(await seen(await control.reports(transaction), ownerOf, context), command.like);
    case 'show-stream-status':
      return showStreamStatus(await reportOf(command.name, context));
    case 'show-create-stream':
      return showCreateStream(await reportOf(command.name, context));
    case 'show-stream-tables':
      return showTables(await reportOf(command.name, context));
    case 'show-stream-options': {
      const report = await reportOf(command.name, context);
      const { destination } = report.definition;
      return showOptions(
        report,
        destination.kind === 'endpoint' ? control.endpoint(destination.name, transaction) : null,
      );
    }
    case 'show-stream-history':
      return history(command.name, context);
    case 'show-endpoints':
      return showEndpoints(await seen(control.endpoints(transaction), ({ definition }) => definition.owner, context));
    case 'show-secrets':
      return showSecrets(await seen(control.secrets(transaction), ({ owner }) => owner, context));
    case 'show-create-endpoint': {
      const endpoint = control.endpoint(command.name, transaction);
      const standing = await standingOf([endpoint.owner], questioner);
      requireVisible(standing, 'endpoint', endpoint.name, endpoint.owner);
      return showCreateEndpoint(endpoint);
    }
    case 'check':
      return showCheck(await requirements(context));
    case 'show-slots':
      return showSlots(await control.slots());
    case 'show-settings':
      return showSettings(info);
    case 'show-version':
      return showVersion(info);
  }
}

function ownerOf({ definition }: StreamReport): string {
  return definition.owner;
}

/** Of the upstream, and of the destinations of the streams that the client sees, as far as they can be asked. */
async function requirements(context: CommandContext): Promise<readonly Requirement[]> {
  const { control, questioner, signal } = context;
  const database = await sessionDatabase(questioner);
  const rows = [...(await control.check(database))];
  const reports = await seen(await control.reports(null), ownerOf, context);
  const names = reports.flatMap(({ definition }) => (definition.database === database ? [definition.name] : []));
  for (let at = 0; at < names.length; at += INSPECTED_AT_ONCE) {
    const some = names.slice(at, at + INSPECTED_AT_ONCE);
    const found = await Promise.all(some.map((name) => control.delivery.inspect(name, signal)));
    for (const [i, own] of found.entries()) {
      for (const row of own) rows.push({ ...row, requirement: `stream ${some[i]!}: ${row.requirement}` });
    }
  }
  return rows;
}

const INSPECTED_AT_ONCE = 8;

/** Those that the client may see. */
async function seen<T>(
  items: readonly T[],
  ownerOfItem: (item: T) => string,
  { questioner }: CommandContext,
): Promise<readonly T[]> {
  if (items.length === 0) return items;
  const standing: Standing = await standingOf(items.map(ownerOfItem), questioner);
  return standing.isViewer ? items : items.filter((item) => standing.owns(ownerOfItem(item)));
}

/** 42704, 42501. */
async function reportOf(name: string, { control, staged, questioner }: CommandContext): Promise<StreamReport> {
  const report = await control.report(name, staged.transaction);
  const { owner } = report.definition;
  requireVisible(await standingOf([owner], questioner), 'stream', name, owner);
  return report;
}

const MAX_HISTORY_SHOWN = 1_000;

/** Also of a stream that is gone, for who may see everything. */
async function history(name: string, context: CommandContext): Promise<Result> {
  const { control, staged, questioner } = context;
  const owner = control.ownerOf('stream', name, staged.transaction);
  const entries = control.history('stream', name, MAX_HISTORY_SHOWN);
  if (owner === null && entries.length === 0) control.definition(name, staged.transaction);
  const standing = await standingOf(owner === null ? [] : [owner], questioner);
  requireVisible(standing, 'stream', name, owner ?? '');
  return showHistory(entries);
}
