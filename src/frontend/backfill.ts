import type { BackfillTable } from '../model/backfill.ts';
import type { StreamDefinition, StreamTable } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Command, QualifiedName } from '../sql/command.ts';
import type { CommandContext } from './execute-command.ts';
import { requireOwnership, writableRole } from './privileges.ts';
import type { Questioner } from './question.ts';
import { resolveRowCondition } from './resolve-predicates.ts';
import { resolveName } from './resolve-table.ts';
import type { Result } from './result.ts';
import { requireSessionDatabase } from './session-database.ts';
import { tagOf } from './tags.ts';

export type BackfillCommand = Extract<Command, { kind: 'backfill-stream' | 'cancel-backfill' }>;

export function isBackfill(command: Command): command is BackfillCommand {
  return command.kind === 'backfill-stream' || command.kind === 'cancel-backfill';
}

/**
 * BACKFILL and CANCEL BACKFILL. Raises what `StreamControl` raises, 42501 for a stream of somebody else's, 42P01 and 42704
 * for a table that does not exist or is not the stream's, 55000 for BACKFILL of a stream of another database, and of WHERE what `typePredicate` raises.
 */
export async function executeBackfill(command: BackfillCommand, context: CommandContext): Promise<Result> {
  const { control, questioner } = context;
  const role = await writableRole(command, questioner);
  await requireOwnership('stream', [command.name], context);
  const notices =
    command.kind === 'cancel-backfill'
      ? await control.cancelBackfill(command.name, role)
      : await control.backfill(command.name, await tablesOf(command, context), role);
  return { columns: [], rows: [], tag: tagOf(command), notices };
}

async function tablesOf(
  { name, table, where }: Extract<BackfillCommand, { kind: 'backfill-stream' }>,
  { control, questioner }: CommandContext,
): Promise<readonly BackfillTable[]> {
  const definition = control.definition(name, null);
  await requireSessionDatabase(definition, questioner);
  const tables = table === null ? definition.tables : [await tableOf(definition, table, questioner)];
  const wanted: BackfillTable[] = [];
  for (const one of tables) {
    if (where !== null) await resolveRowCondition(one, where, questioner);
    wanted.push({ oid: one.oid, where: where?.text ?? null });
  }
  return wanted;
}

async function tableOf(
  { name, tables }: StreamDefinition,
  wanted: QualifiedName,
  questioner: Questioner,
): Promise<StreamTable> {
  const oid = await resolveName(wanted, questioner);
  const table = tables.find((one) => one.oid === oid);
  if (table !== undefined) return table;
  const shown = wanted.schema === null ? wanted.name : `${wanted.schema}.${wanted.name}`;
  const { position } = wanted;
  if (oid === null) throw new PgError('undefined_table', `relation "${shown}" does not exist`, { position });
  throw new PgError('undefined_object', `table "${shown}" is not part of CDC stream "${name}"`, { position });
}
