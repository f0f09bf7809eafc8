import { must } from '../base/assert.ts';
import { ACTION, actions, type Actions } from '../wire/framer.ts';
import { writeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, FRONTEND, STATUS } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import { answerNotices } from './answer.ts';
import type { Interception } from './interception.ts';
import type { Dialogue, Relay } from './relay.ts';

const SYNC = Buffer.from([FRONTEND.sync, 0, 0, 0, 4]);

/** Of the answer, the client sees nothing. */
export const PASS_NOTHING = actions(ACTION.take, [
  [ACTION.forward, 'A'],
  [ACTION.tee, 'S'],
]);

/** The client sees the ReadyForQuery, and what went wrong: a COMMIT may fail, and a ROLLBACK warn. */
export const PASS_OUTCOME = actions(ACTION.take, [
  [ACTION.forward, 'AEN'],
  [ACTION.tee, 'SZ'],
]);

/** The same, but the ReadyForQuery waits. */
const HOLD_OUTCOME = PASS_OUTCOME.with(BACKEND.readyForQuery, ACTION.take);

/** Runs a Query that the client did not send. The turn must be ours. */
export async function runUnseen(relay: Relay, statement: string, passing: Actions): Promise<void> {
  const writer = new Writer();
  writeQuery(writer, Buffer.from(statement));
  const dialogue: Dialogue = { actions: passing, took: (type) => type === BACKEND.readyForQuery };
  await relay.converse(writer.finish(), dialogue);
}

/**
 * Has the upstream say the ReadyForQuery of a Query that it need not see: its state is always the upstream's. A Sync does
 * that, but would end the implicit transaction of a group that has not been synchronised, as a Query does not.
 */
export async function endQuery(interception: Interception): Promise<void> {
  const { relay } = interception;
  if (!relay.due.isGroupOpen) {
    relay.send(SYNC);
    return;
  }
  await runOutcome(interception, '');
  relay.due.endGroup();
}

/**
 * Runs a Query that the client did not send; its ReadyForQuery is the client's, once what the transaction has staged is
 * applied or forgotten, if that is its end.
 */
export async function runOutcome({ relay, staged, runner }: Interception, statement: string): Promise<void> {
  if (!staged.isOpen) {
    await runUnseen(relay, statement, PASS_OUTCOME);
    return;
  }
  const writer = new Writer();
  writeQuery(writer, Buffer.from(statement));
  let ready: Buffer | null = null;
  const took = (type: number, message: Buffer): boolean => {
    if (type === BACKEND.readyForQuery) ready = Buffer.from(message);
    return ready !== null;
  };
  await relay.converse(writer.finish(), { actions: HOLD_OUTCOME, took });
  if (relay.status === STATUS.idle) await answerNotices(relay, { notices: await runner.endStaged() });
  await relay.answer(must<Buffer>(ready, 'what ends the dialogue'));
}
