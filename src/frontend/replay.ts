import type { ReplayRange } from '../model/replay.ts';
import type { Command } from '../sql/command.ts';
import type { CommandContext } from './execute-command.ts';
import { requireOwnership, writableRole } from './privileges.ts';
import { asciiLiteral } from '../postgres/identifier.ts';
import { senseless, type Questioner } from './question.ts';
import type { Result } from './result.ts';
import { tagOf } from './tags.ts';

type ReplayCommand = Extract<Command, { kind: 'replay-stream' }>;

/** REPLAY: its tag says how many events. Raises what `StreamControl` raises, 42501, and 22007 for what is no time. */
export async function executeReplay(command: ReplayCommand, context: CommandContext): Promise<Result> {
  const { control, questioner } = context;
  const role = await writableRole(command, questioner);
  await requireOwnership('stream', [command.name], context);
  const { from } = command;
  const range: ReplayRange =
    from.kind === 'lsn' ? from : { kind: 'since', micros: await microsOf(from.time, questioner) };
  const events = await control.replay(command.name, range, role);
  return { columns: [], rows: [], tag: `${tagOf(command)} ${events}`, notices: [] };
}

/** As the session reads it, by its TimeZone and DateStyle. Microseconds since 1970. */
async function microsOf(time: string, questioner: Questioner): Promise<bigint> {
  const micros = await questioner.ask(`pg_catalog.to_json(CAST(pg_catalog.floor(
    EXTRACT(EPOCH FROM CAST(${asciiLiteral(time)} AS pg_catalog.timestamptz)) OPERATOR(pg_catalog.*) 1000000) AS pg_catalog.text))`);
  if (typeof micros !== 'string') throw senseless();
  if (micros === 'Infinity') return 2n ** 62n;
  if (micros === '-Infinity') return 0n;
  const found = BigInt(micros);
  return found < 0n ? 0n : found;
}
