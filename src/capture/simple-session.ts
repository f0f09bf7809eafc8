import { must } from '../base/assert.ts';
import type { Cancel, Clock } from '../base/clock.ts';
import { Opening } from '../upstream/channel.ts';
import { login, type AdminLimits, type Login } from '../upstream/connect.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { serverError } from './error-response.ts';
import { CaptureFault } from './fault.ts';
import { queryMessage } from './query-message.ts';
import { RawRows } from './raw-rows.ts';

const DATA_ROW = 0x44;
const ROW_DESCRIPTION = 0x54;
const COMMAND_COMPLETE = 0x43;
const ERROR_RESPONSE = 0x45;
const READY_FOR_QUERY = 0x5a;
const READ_BYTES = 256 * 1024;
/** A server that cannot be reached any more does not keep its own time limit. */
const UNREACHABLE_AFTER_MS = 5_000;

interface Asked {
  readonly resolve: (answers: readonly RawRows[]) => void;
  readonly reject: (error: Error) => void;
  readonly answers: RawRows[];
  readonly maxBytes: number;
  rows: RawRows | null;
  error: Error | null;
}

/**
 * A connection whose answers stay as bytes. `pg` logs in; from then on the socket is ours, as an object for each row costs
 * more than reading it. Queries may be sent before those ahead of them are answered.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SIMPLE-QUERY
 */
export class SimpleSession {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #limits: AdminLimits;
  readonly #opening = new Opening();
  #login: Login | null = null;
  readonly #asked: Asked[] = [];
  #cancelTimeout: Cancel | null = null;
  /** The beginning of a message, in pieces, and how many bytes it takes before it is worth looking at them. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #wantedBytes = 0;
  #error: Error | null = null;
  /** Of rows that were released. */
  readonly #spare: Buffer[] = [];

  /** For `open`; nothing is done yet. */
  constructor(upstream: Upstream, clock: Clock, limits: AdminLimits) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Connects and logs in. Rejects as `login` does, also when `close` is called meanwhile. */
  async open(): Promise<void> {
    const opened = await login(this.#upstream, {
      opening: this.#opening,
      readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
      client: { statement_timeout: this.#limits.statementTimeoutMs, lock_timeout: this.#limits.lockTimeoutMs },
    });
    const { channel } = (this.#login = opened);
    if (this.#error !== null) {
      channel.destroy();
      throw this.#error;
    }
    channel.read((bytes, length) => this.#push(bytes.subarray(0, length)));
    channel.socket.on('error', (error) => this.#fail(error));
    channel.socket.on('close', () => this.#fail(lost()));
    if (channel.socket.destroyed) this.#fail(lost());
  }

  /**
   * Sends one or more statements as one query; resolves to the rows of each, of more than `maxBytes` to the first. Rejects
   * with the server's error (`code` is the SQLSTATE), or `CaptureFault` (connection-lost).
   */
  send(sql: string, maxBytes = Infinity): Promise<readonly RawRows[]> {
    if (this.#error !== null) return Promise.reject(this.#error);
    const { promise, resolve, reject } = Promise.withResolvers<readonly RawRows[]>();
    this.#asked.push({ resolve, reject, answers: [], maxBytes, rows: null, error: null });
    this.#watch();
    must(this.#login, 'the session is open').channel.socket.write(queryMessage(sql));
    return promise;
  }

  /** Closes at once; whatever waits for the server rejects. */
  close(): void {
    this.#fail(lost());
  }

  #push(bytes: Buffer): void {
    if (this.#error !== null) return;
    let data = bytes;
    if (this.#pieceBytes > 0) {
      if (this.#pieceBytes + bytes.length < this.#wantedBytes) return this.#keep(bytes, 0, this.#wantedBytes);
      data = Buffer.concat([...this.#pieces, bytes]);
      this.#pieces = [];
      this.#pieceBytes = 0;
    }
    let at = 0;
    let rowsFrom = 0;
    while (data.length - at >= 5) {
      const end = at + 1 + data.readUInt32BE(at + 1);
      if (end < at + 5) return this.#fail(new CaptureFault('protocol', 'a message with an impossible length', null));
      if (end > data.length) break;
      const tag = data[at];
      if (tag !== DATA_ROW) {
        this.#addRows(data, rowsFrom, at);
        this.#message(tag!, data.subarray(at + 5, end));
        rowsFrom = end;
      }
      at = end;
    }
    this.#addRows(data, rowsFrom, at);
    if (at === data.length) return;
    const left = data.length - at;
    this.#keep(data, at, left < 5 ? 5 : 1 + data.readUInt32BE(at + 1));
  }

  #keep(data: Buffer, from: number, wanted: number): void {
    this.#pieces.push(Buffer.from(data.subarray(from)));
    this.#pieceBytes += data.length - from;
    this.#wantedBytes = wanted;
  }

  #addRows(data: Buffer, from: number, to: number): void {
    if (to > from) this.#asked[0]?.rows?.add(data, from, to);
  }

  #message(tag: number, body: Buffer): void {
    const head = this.#asked[0];
    if (tag === ERROR_RESPONSE) {
      const error = serverError(body);
      // With nobody asking: why the server closes the connection.
      if (head === undefined) return this.#fail(error);
      head.error ??= error;
    }
    if (head === undefined) return;
    if (tag === ROW_DESCRIPTION) head.rows = new RawRows(head.maxBytes, this.#spare);
    else if (tag === COMMAND_COMPLETE) {
      head.answers.push(head.rows ?? new RawRows());
      head.rows = null;
    } else if (tag === READY_FOR_QUERY) {
      this.#asked.shift();
      this.#watch();
      if (head.error === null) head.resolve(head.answers);
      else head.reject(head.error);
    }
  }

  /** Gives the server its time for the query that it is at. */
  #watch(): void {
    this.#cancelTimeout?.();
    this.#cancelTimeout = null;
    if (this.#asked.length === 0) return;
    this.#cancelTimeout = this.#clock.after(this.#limits.statementTimeoutMs + UNREACHABLE_AFTER_MS, () =>
      this.#fail(new CaptureFault('silent', 'the server does not answer', null)),
    );
  }

  #fail(error: Error): void {
    if (this.#error !== null) return;
    this.#error = this.#asked[0]?.error ?? error;
    this.#cancelTimeout?.();
    this.#opening.abort(this.#error);
    this.#login?.channel.destroy();
    for (const { reject } of this.#asked.splice(0)) reject(this.#error);
  }
}

function lost(): CaptureFault {
  return new CaptureFault('connection-lost', 'the server closed the connection', null);
}
