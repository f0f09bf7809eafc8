import { must } from '../base/assert.ts';

/*
  Every message after the startup packet:
    Byte1   type
    Int32   length of what follows, itself included
    Byte n  body
  https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS
*/

/** What is done with a message, by its type. */
export const ACTION = {
  /** Passes. */
  forward: 0,
  /** Passes, and its end is told. */
  note: 1,
  /** Passes, and is shown whole. */
  tee: 2,
  /** Is held until it is whole and shown; the answer tells whether it passes. */
  ask: 3,
  /** Is shown whole and goes no further. */
  take: 4,
  /** Goes no further. */
  drop: 5,
} as const;

/** Passes as it comes, shown in pieces: the rest of a message that was too long to be asked about. */
const WATCH = 6;

/** An action for each of the 256 type bytes. */
export type Actions = Uint8Array;

/** The table that does `byDefault`, but for the given types. */
export function actions(
  byDefault: number,
  exceptions: ReadonlyArray<readonly [action: number, types: string]>,
): Actions {
  const table = new Uint8Array(256).fill(byDefault);
  for (const [action, types] of exceptions) {
    for (const type of types) table[type.charCodeAt(0)] = action;
  }
  return table;
}

/**
 * The most that is kept of one message that is split over chunks. Of a longer one `tee` and `take` show the first
 * part, and `ask` shows the first part: if that may not pass, it is held on up to MAX_DOUBTFUL_BYTES.
 */
export const MAX_HELD_BYTES = 1_048_576;

/** The most that is kept of a message whose first part was stopped; a longer one passes all the same. */
export const MAX_DOUBTFUL_BYTES = 16_777_216;

/** Receives what a framer finds, in order. */
export interface FrameSink {
  /** Bytes that pass, as they came. They are not the receiver's to keep. */
  forward(bytes: Buffer, start: number, end: number): void;
  /** A message of a `note` type is over. */
  noted(type: number): void;
  /**
   * A message, its header included; the bytes are not the receiver's to keep. `whole` is false where only the first
   * MAX_HELD_BYTES are shown. The answer counts for `ask` alone: whether it passes. Where it does not, the scan ends
   * behind it; one that is not whole is then shown again when it is.
   */
  message(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean;
  /** A piece of a message that was asked about and is too long to be held: it passes, whatever is in it. */
  passing(type: number, bytes: Buffer, start: number, end: number): void;
}

const HEADER_BYTES = 5;
/** The length counts itself. */
const LEAST_LENGTH = 4;

/**
 * Finds the messages in a stream of chunks cut anywhere, and passes on what passes in the largest runs there are.
 * Between chunks it remembers five integers, plus the message being held where there is one.
 */
export class Framer {
  /** May be changed at any time; counts from the next message on. */
  actions: Actions;
  /**
   * Everything passes, unframed. Set by itself once a length below the least possible has been met, since nothing behind
   * it can be told apart.
   */
  isPipe = false;

  readonly #sink: FrameSink;
  // The message that goes on in the next chunk: its type, what is done with it, how many bytes of its header have been
  // seen (0: the stream stands between two messages), its length as far as seen, and what is to come of its body.
  #type = 0;
  #action: number = ACTION.forward;
  #headerSeen = 0;
  #length = 0;
  #bodyLeft = 0;
  #held: Buffer | null = null;
  #heldBytes = 0;
  #stopped = false;

  constructor(initial: Actions, sink: FrameSink) {
    this.actions = initial;
    this.#sink = sink;
  }

  /** Whether the stream stands between two messages. */
  get isBetween(): boolean {
    return this.#headerSeen === 0;
  }

  /**
   * Goes through `bytes` from `start` to `end`. Returns `end`, or the offset behind the message at which the sink
   * stopped it: what follows is to be given again.
   */
  scan(bytes: Buffer, start: number, end: number): number {
    const sink = this.#sink;
    // What passes is forwarded in runs: `from` is where the present one begins.
    let from = start;
    let at = start;
    while (at < end) {
      if (this.#headerSeen === 0 && !this.isPipe) {
        const type = bytes[at]!;
        const action = this.actions[type]!;
        const length = end - at >= HEADER_BYTES ? int32(bytes, at + 1) : 0;
        const next = at + 1 + length;
        if (length >= LEAST_LENGTH && next <= end) {
          if (action >= ACTION.take) {
            if (from < at) sink.forward(bytes, from, at);
            from = next;
          }
          if (action === ACTION.note) sink.noted(type);
          else if (action >= ACTION.tee && action <= ACTION.take) {
            const passes = sink.message(type, bytes, at, next, true);
            if (action === ACTION.ask && !passes) {
              if (from < at) sink.forward(bytes, from, at);
              return next;
            }
          }
          at = next;
          continue;
        }
        this.#type = type;
        this.#action = action;
        if (!this.#passes && from < at) sink.forward(bytes, from, at);
      }
      if (!this.#passes) {
        at = from = this.#withhold(bytes, at, end);
        if (this.#stopped) {
          this.#stopped = false;
          return at;
        }
      } else {
        at = this.#skip(bytes, at, end);
      }
    }
    if (from < end) sink.forward(bytes, from, end);
    return end;
  }

  /** Whether the bytes of the message at hand pass as they come. */
  get #passes(): boolean {
    return this.isPipe || this.#action <= ACTION.tee || this.#action === WATCH;
  }

  /** Goes through what the chunk has of a message whose bytes pass. */
  #skip(bytes: Buffer, start: number, end: number): number {
    if (this.isPipe) return end;
    const body = this.#header(bytes, start, end);
    if (this.isPipe || this.#headerSeen < HEADER_BYTES) return end;
    const at = this.#body(bytes, body, end);
    if (this.#action === WATCH) this.#sink.passing(this.#type, bytes, body, at);
    if (this.#bodyLeft > 0) return at;
    this.#headerSeen = 0;
    if (this.#action === ACTION.note) this.#sink.noted(this.#type);
    else if (this.#action === ACTION.tee) this.#show();
    return at;
  }

  /** Goes through what the chunk has of a message whose bytes do not pass as they come. */
  #withhold(bytes: Buffer, start: number, end: number): number {
    const headerSeen = this.#headerSeen;
    const body = this.#header(bytes, start, end);
    if (this.isPipe) {
      // What earlier chunks had of the header was kept back.
      if (headerSeen > 0) this.#sink.forward(this.#headerBytes(), 0, headerSeen);
      return start;
    }
    if (this.#headerSeen < HEADER_BYTES) return end;
    const at = this.#body(bytes, body, end);
    if (this.#action === ACTION.ask && this.#bodyLeft > 0 && this.#heldBytes === this.#held?.length) {
      this.#tooLong(this.#held);
      return at;
    }
    if (this.#bodyLeft > 0) return at;
    this.#headerSeen = 0;
    if (this.#action === ACTION.drop) return at;
    const held = must(this.#held, 'a message that is shown has been held');
    const passes = this.#show();
    if (this.#action !== ACTION.ask) return at;
    if (passes) this.#sink.forward(held, 0, this.#heldBytes);
    else this.#stopped = true;
    return at;
  }

  /** There is no room for what is to come of a message that is asked about. */
  #tooLong(held: Buffer): void {
    const passes = this.#sink.message(this.#type, held, 0, this.#heldBytes, false);
    if (!passes && held.length < MAX_DOUBTFUL_BYTES) {
      this.#held = Buffer.allocUnsafe(Math.min(1 + this.#length, MAX_DOUBTFUL_BYTES));
      held.copy(this.#held);
      return;
    }
    this.#held = null;
    this.#action = WATCH;
    this.#sink.passing(this.#type, held, 0, this.#heldBytes);
    this.#sink.forward(held, 0, this.#heldBytes);
  }

  /** Reads on in the header, and prepares for the body once it is whole. */
  #header(bytes: Buffer, start: number, end: number): number {
    if (this.#headerSeen === HEADER_BYTES) return start;
    let at = start;
    if (this.#headerSeen === 0) this.#length = 0;
    while (at < end && this.#headerSeen < HEADER_BYTES) {
      const byte = bytes[at++]!;
      if (this.#headerSeen++ > 0) this.#length = (this.#length << 8) | byte;
    }
    if (this.#headerSeen < HEADER_BYTES) return at;
    if (this.#length < LEAST_LENGTH) {
      this.isPipe = true;
      return at;
    }
    this.#bodyLeft = this.#length - LEAST_LENGTH;
    if (this.#action >= ACTION.tee && this.#action <= ACTION.take) {
      this.#held = Buffer.allocUnsafe(Math.min(1 + this.#length, MAX_HELD_BYTES));
      this.#heldBytes = this.#headerBytes().copy(this.#held);
    }
    return at;
  }

  /** Reads on in the body: to its end, the chunk's, or (where the message is asked about) that of what is held. */
  #body(bytes: Buffer, start: number, end: number): number {
    let stop = Math.min(end, start + this.#bodyLeft);
    if (this.#held) {
      if (this.#action === ACTION.ask) stop = Math.min(stop, start + this.#held.length - this.#heldBytes);
      this.#heldBytes += bytes.copy(this.#held, this.#heldBytes, start, stop);
    }
    this.#bodyLeft -= stop - start;
    return stop;
  }

  #headerBytes(): Buffer {
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header[0] = this.#type;
    header.writeInt32BE(this.#length, 1);
    return header;
  }

  #show(): boolean {
    const held = must(this.#held, 'a message that is shown has been held');
    this.#held = null;
    return this.#sink.message(this.#type, held, 0, this.#heldBytes, this.#heldBytes === 1 + this.#length);
  }
}

/** Big-endian; faster than `readInt32BE`, which checks what is known here. */
function int32(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
