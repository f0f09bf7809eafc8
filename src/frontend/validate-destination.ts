import type { StagedChange, StreamChange } from '../model/staged-change.ts';
import type { StreamDeclaration } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { ChangeContext } from './change-of.ts';
import type { CommandContext } from './execute-command.ts';

/**
 * Sends one `cdc.test` event where a change gives a stream its destination, unless the stream or the server says not to; of
 * Kafka it is asked whether it would take one. What else is wrong with the change is told first. HV00N where the endpoint cannot
 * be reached or Kafka would not take events, HV000 where an endpoint answers anything but 2xx: then nothing is changed.
 */
export async function validateDestination(
  change: StagedChange,
  role: string,
  { control, staged, info, signal }: CommandContext & ChangeContext,
): Promise<void> {
  const isWanted = ({ options, givenOptions }: StreamDeclaration): boolean =>
    givenOptions.includes('validate') ? options.validate : info.validate;
  if (!setsDestination(change) || (change.kind === 'create-stream' && !isWanted(change.request))) return;
  const { stream } = await control.preview(change, role, staged.transaction);
  // IF NOT EXISTS, and it does.
  if (stream === null) return;
  // Secrets that stand in a CREATE are stored with the stream, and not before.
  const declaration = change.kind === 'create-stream' ? change.request : stream;
  if (!isWanted(declaration)) return;
  const target = { kind: 'declared', name: stream.name, declaration, transaction: staged.transaction } as const;
  const { ok, httpStatus, error, isBlocked } = await control.delivery.test(target, signal);
  if (ok) return;
  const hint = isBlocked ? BLOCKED_HINT : 'The option validate = false leaves the test out.';
  if (declaration.destination.kind === 'kafka') {
    throw new PgError('fdw_unable_to_establish_connection', `Kafka would not take events: ${error}`, { hint });
  }
  if (httpStatus === null) {
    throw new PgError('fdw_unable_to_establish_connection', `the endpoint could not be reached: ${error}`, { hint });
  }
  throw new PgError('fdw_error', `the endpoint did not accept a test event: ${error}`, { hint });
}

/** Without the test the stream would be made, and wait. */
export const BLOCKED_HINT =
  'Whoever runs walhook says with --egress-allow (WALHOOK_EGRESS_ALLOW) which private addresses may be called; a reload is enough.';

function setsDestination(change: StagedChange): change is StreamChange {
  if (change.kind === 'create-stream') return true;
  if (change.kind !== 'alter-stream' || change.alteration.kind !== 'set') return false;
  return change.alteration.settings.destination !== undefined;
}
