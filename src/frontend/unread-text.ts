import { mayBeOurs } from '../sql/classify.ts';
import { decodeReport, writeReport } from '../wire/backend-messages.ts';
import { MAX_DOUBTFUL_BYTES, MAX_HELD_BYTES } from '../wire/framer.ts';
import { BACKEND } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import type { Relay } from './relay.ts';

/** Longer than a word of ours with a character on either side. */
const OVERLAP_BYTES = 8;

const MIB = 1_048_576;
const HINT = Buffer.from(
  `Statements of walhook are not recognised in a message whose first ${MAX_HELD_BYTES / MIB} MiB have none, nor in one of more than ${MAX_DOUBTFUL_BYTES / MIB} MiB: send them by themselves.`,
);

/**
 * Watches the texts that are too long to be held. A statement of ours in one reaches the upstream, which runs nothing of
 * a text with an error of syntax in it; that error then says what the reason may be.
 */
export class UnreadText {
  readonly #relay: Relay;
  #tail: Buffer = Buffer.alloc(0);
  #hasWord = false;

  constructor(relay: Relay) {
    this.#relay = relay;
  }

  /** A piece of such a text. */
  passing(bytes: Buffer, start: number, end: number): void {
    if (this.#hasWord) return;
    const joint = Buffer.concat([this.#tail, bytes.subarray(start, Math.min(end, start + OVERLAP_BYTES))]);
    this.#tail = Buffer.from(bytes.subarray(Math.max(start, end - OVERLAP_BYTES), end));
    // The end of a piece is not that of a word: it may be found where there is none, and is never missed.
    this.#hasWord = mayBeOurs(joint, 0, joint.length) || mayBeOurs(bytes, start, end);
    if (this.#hasWord) this.#relay.asksErrors = true;
  }

  /** The ErrorResponse with the hint added, where it is one of syntax that has none. */
  failed(message: Buffer): Buffer | null {
    const fields = new Map(decodeReport(message));
    if (fields.get('C')?.toString('latin1') !== '42601' || fields.has('H')) return null;
    fields.set('H', HINT);
    const writer = new Writer(message.length + HINT.length);
    writeReport(writer, BACKEND.errorResponse, fields);
    return writer.finish();
  }

  /** ReadyForQuery has come: where it was the last that is due, such a text has been answered. */
  ready(): void {
    if (!this.#hasWord || !this.#relay.due.isSettled) return;
    this.#hasWord = false;
    this.#tail = Buffer.alloc(0);
    this.#relay.asksErrors = false;
  }
}
