import { ACTION, actions } from '../wire/framer.ts';
import { writeEmpty, writeParse, writeQuery } from '../wire/frontend-messages.ts';
import { BACKEND, FRONTEND } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import type { Dialogue, Relay } from './relay.ts';

/*
  An error of ours in a transaction of the upstream's is an error of the transaction. The upstream itself is made to
  fail, so that from then on its own answers are those of a failed transaction. What it logs names the cause.
*/
const TEXT = Buffer.from('walhook_statement_failed');

/** The error is for no one; in answer to a Query, the ReadyForQuery that follows is the client's. */
const SWALLOW = actions(ACTION.take, [
  [ACTION.forward, 'A'],
  [ACTION.tee, 'SZ'],
]);

/** In the place of a Query of ours that failed: fails the transaction, and gives the client the ReadyForQuery. */
export async function failQuery(relay: Relay): Promise<void> {
  const writer = new Writer();
  writeQuery(writer, TEXT);
  await relay.converse(writer.finish(), new Swallow(BACKEND.readyForQuery));
  relay.due.endGroup();
}

/** In a group of the extended protocol: fails it, so that the upstream skips what is left of it. */
export async function failGroup(relay: Relay): Promise<void> {
  const writer = new Writer();
  // Named, for the unnamed statement to live on; it comes to nothing.
  writeParse(writer, { name: 'walhook failed', text: TEXT, parameterTypes: [] });
  writeEmpty(writer, FRONTEND.flush);
  await relay.converse(writer.finish(), new Swallow(BACKEND.errorResponse));
  relay.due.failed();
}

class Swallow implements Dialogue {
  readonly actions = SWALLOW;
  readonly #lastType: number;

  constructor(lastType: number) {
    this.#lastType = lastType;
  }

  took(type: number): boolean {
    return type === this.#lastType;
  }
}
