import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { StreamControl } from '../model/stream-control.ts';
import type { Command } from '../sql/command.ts';
import { asciiLiteral, type Questioner } from './question.ts';
import { ADMIN_ROLE, isAdminQuestion, resolveTable } from './resolve-table.ts';
import type { Result } from './result.ts';
import { showStreams, showStreamStatus } from './show.ts';

/** Where a command runs. */
export interface CommandContext {
  readonly control: StreamControl;
  readonly questioner: Questioner;
  /** A block is open, or a transaction that other statements of the client's belong to. */
  readonly isInTransaction: boolean;
  readonly signal: AbortSignal;
}

type CreateStream = Extract<Command, { kind: 'create-stream' }>;

const TAGS: Readonly<Record<Command['kind'], string>> = {
  'create-stream': 'CREATE CDC STREAM',
  'alter-stream': 'ALTER CDC STREAM',
  'drop-stream': 'DROP CDC STREAM',
  'show-streams': 'SHOW',
  'show-stream-status': 'SHOW',
};

/** Whether the command changes nothing, and so runs in any transaction that has not failed. */
export function onlyShows(command: Command): boolean {
  return command.kind === 'show-streams' || command.kind === 'show-stream-status';
}

/** 25001 for a command that cannot be part of a transaction. */
export function preventInTransaction(command: Command, isInTransaction: boolean): void {
  if (!isInTransaction || onlyShows(command)) return;
  throw new PgError('active_sql_transaction', `${TAGS[command.kind]} cannot run inside a transaction block`);
}

/**
 * Runs a command in the client's name. Raises what `StreamControl` and `resolveTable` raise, 25001 inside a transaction,
 * 25006 in a read-only one, 42501 where the client is neither the stream's owner nor an administrator.
 */
export async function executeCommand(command: Command, context: CommandContext): Promise<Result> {
  const { control, questioner } = context;
  preventInTransaction(command, context.isInTransaction);
  context.signal.throwIfAborted();
  switch (command.kind) {
    case 'show-streams':
      return showStreams(await control.reports());
    case 'show-stream-status':
      return showStreamStatus(await control.report(command.name));
    case 'create-stream':
      await writableRole(command, questioner);
      return done(command, await createStream(command, context));
    case 'alter-stream': {
      const role = await writableRole(command, questioner);
      await checkOwnership(command.name, context);
      const state = command.action === 'pause' ? 'paused' : 'running';
      return done(command, await control.setDesiredState(command.name, state, role));
    }
    case 'drop-stream': {
      const role = await writableRole(command, questioner);
      for (const name of command.names) await checkOwnership(name, context, command.ifExists);
      return done(command, await control.dropStreams(command.names, command.ifExists, role));
    }
  }
}

function done(command: Command, notices: Result['notices']): Result {
  return { columns: [], rows: [], tag: TAGS[command.kind], notices };
}

async function createStream(command: CreateStream, { control, questioner, signal }: CommandContext) {
  const { table, database, role } = await resolveTable(command.table, questioner);
  const { name, ifNotExists, destination, options } = command;
  return control.createStream(
    { name, ifNotExists, database, tables: [table], destination, options, owner: role },
    signal,
  );
}

/** The client's `current_user`; 25006 where its transaction is read-only, as on a standby every one is. */
async function writableRole(command: Command, questioner: Questioner): Promise<string> {
  const { role, setting } = (await questioner.ask(`pg_catalog.json_build_object(
    'role', current_user, 'setting', pg_catalog.current_setting('transaction_read_only'))`)) as Record<string, string>;
  if (setting !== 'on') return must(role, 'a role');
  const message = `cannot execute ${TAGS[command.kind]} in a read-only transaction`;
  throw new PgError('read_only_sql_transaction', message);
}

async function checkOwnership(name: string, context: CommandContext, mayMiss = false): Promise<void> {
  const owner = await ownerOf(name, context.control, mayMiss);
  if (owner === null) return;
  const mayChange = await context.questioner.ask(`pg_catalog.to_json(
    COALESCE((SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') FROM pg_catalog.pg_roles r
      WHERE r.rolname OPERATOR(pg_catalog.=) ${asciiLiteral(owner)}), false)
    OR COALESCE((${isAdminQuestion()}), false)
    OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user))`);
  if (mayChange === true) return;
  throw new PgError('insufficient_privilege', `must be owner of CDC stream ${name}`, {
    hint: `Members of the role ${ADMIN_ROLE} may change streams of others.`,
  });
}

async function ownerOf(name: string, control: StreamControl, mayMiss: boolean): Promise<string | null> {
  try {
    return (await control.report(name)).definition.owner;
  } catch (error) {
    // What is to be said of it, `dropStreams` says.
    if (mayMiss && error instanceof PgError && error.code === '42704') return null;
    throw error;
  }
}
