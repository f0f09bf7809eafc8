import type { Socket } from 'node:net';
import type pg from 'pg';
import { must } from '../base/assert.ts';
import { formatLsn, parseLsn, type Lsn } from '../postgres/lsn.ts';
import { Opening } from '../upstream/channel.ts';
import { login, type Login } from '../upstream/connect.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { CaptureFault } from './fault.ts';
import { serverError } from './error-response.ts';
import { queryMessage } from './query-message.ts';

/** `IDENTIFY_SYSTEM`'s answer. */
export interface SystemIdentity {
  readonly systemId: string;
  readonly timeline: number;
  /** The server's flushed end of WAL. */
  readonly flushLsn: Lsn;
}

/** Who gets what arrives once the stream has begun. */
export interface StreamReceiver {
  /** The buffer is lent until the call returns. Throwing ends the connection with that error. */
  receive(bytes: Buffer): void;
  /** Called once, after the last `receive`. */
  closed(error: Error): void;
}

/** Of the socket's reads, which all go into one buffer. */
const READ_BYTES = 256 * 1024;
const COPY_BOTH_RESPONSE = 0x57;
const ERROR_RESPONSE = 0x45;

/**
 * A walsender connection. `pg` logs in and answers questions; from `start` on the socket is ours and pg no longer sees
 * what arrives, because an object for each message costs more than everything else.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class ReplicationConnection {
  readonly #upstream: Upstream;
  readonly #opening = new Opening();
  #login: Login | null = null;
  #failure: Error | null = null;

  private constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** For `open`; nothing is done yet. */
  static to(upstream: Upstream): ReplicationConnection {
    return new ReplicationConnection(upstream);
  }

  /** Connects and logs in. Rejects as `login` does, also when `close` is called meanwhile. */
  async open(): Promise<void> {
    this.#login = await login(this.#upstream, {
      client: { replication: 'database' },
      opening: this.#opening,
      // Left to itself, Node allocates for each read, and at this rate what it has not yet collected is a hundred
      // megabytes.
      readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
    });
    this.#upstream.noteCurrent(this.#login.host);
    this.#login.client.on('error', (error) => (this.#failure ??= error));
  }

  /** For questions, before `start`. A walsender knows the simple protocol only: no parameters. */
  get session(): pg.ClientBase {
    return this.#opened.client;
  }

  async identifySystem(): Promise<SystemIdentity> {
    const [row] = await this.session
      .query<{ systemid: string; timeline: number; xlogpos: string }>('IDENTIFY_SYSTEM')
      .then(({ rows }) => rows);
    const flushLsn = parseLsn(row?.xlogpos ?? '');
    if (row === undefined || flushLsn === null) {
      throw new CaptureFault('protocol', 'IDENTIFY_SYSTEM has no position', null);
    }
    return { systemId: row.systemid, timeline: Number(row.timeline), flushLsn };
  }

  /**
   * The timelines before `timeline` and where each was left, from the server's own history file.
   * https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-TIMELINE-HISTORY
   */
  async timelineHistory(timeline: number): Promise<ReadonlyMap<number, Lsn>> {
    const [row] = await this.session
      .query<{ content: string | Buffer }>(`TIMELINE_HISTORY ${timeline}`)
      .then(({ rows }) => rows);
    return readTimelineHistory(row?.content.toString('utf8') ?? '');
  }

  /**
   * Begins the stream at `lsn`, or at the slot's own position where that is later. Resolves when the server has begun,
   * rejects with its error (`code` is the SQLSTATE).
   */
  start(slotName: string, publications: readonly string[], lsn: Lsn, receiver: StreamReceiver): Promise<void> {
    const { channel } = this.#opened;
    const { socket } = channel;
    return new Promise((resolve, reject) => {
      let preamble: Preamble | null = new Preamble();
      let isClosed = false;
      const close = (error: Error): void => {
        if (isClosed) return;
        isClosed = true;
        socket.destroy();
        // One of the two is of no effect: the start was refused, or the stream ended.
        reject(error);
        if (preamble === null) receiver.closed(error);
      };
      const take = (bytes: Buffer): void => {
        if (preamble === null) return receiver.receive(bytes);
        const rest = preamble.push(bytes);
        if (rest === null) return;
        preamble = null;
        resolve();
        receiver.receive(rest);
      };
      const onBytes = (bytes: Buffer): void => {
        if (isClosed) return;
        try {
          take(bytes);
        } catch (error) {
          close(error as Error);
        }
      };
      channel.read((bytes, length) => onBytes(bytes.subarray(0, length)));
      socket.once('error', close);
      socket.once('close', () => close(this.#lost()));
      if (socket.destroyed) close(this.#lost());
      else socket.write(queryMessage(startCommand(slotName, publications, lsn)));
    });
  }

  /** Reads no more until `resume`: what the server has to say waits there. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends a CopyData frame. What the socket does not take at once is buffered: a status is 39 bytes. */
  send(frame: Buffer): void {
    if (this.#socket.writable) this.#socket.write(frame);
  }

  /** Sends a last frame and closes; resolves when it is out, or could not be sent. */
  finish(frame: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#socket.end(frame, () => this.#socket.destroy());
      if (this.#socket.destroyed) resolve();
    });
  }

  /**
   * Closes at once; whatever waits for the server rejects. The server's side ends when it notices; nothing is lost by
   * that, as only what is durable was confirmed.
   */
  close(): void {
    this.#opening.abort(new CaptureFault('connection-lost', 'the connection was given up', null));
    this.#login?.channel.destroy();
  }

  #lost(): Error {
    return this.#failure ?? new CaptureFault('connection-lost', 'the server closed the connection', null);
  }

  get #socket(): Socket {
    return this.#opened.channel.socket;
  }

  get #opened(): Login {
    return must(this.#login, 'the connection is open');
  }
}

/** `<timeline> <LSN> <why>` by line, comments and empty lines between them. */
export function readTimelineHistory(text: string): ReadonlyMap<number, Lsn> {
  const left = new Map<number, Lsn>();
  for (const line of text.split('\n')) {
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    const lsn = match === null ? null : parseLsn(match[2]!);
    if (match !== null && lsn !== null) left.set(Number(match[1]), lsn);
  }
  return left;
}

/** Finds where the server's answer to START_REPLICATION ends and the stream begins. */
class Preamble {
  #bytes: Buffer = Buffer.alloc(0);

  /** What follows CopyBothResponse, or null where that has not come yet. Throws the server's refusal. */
  push(bytes: Buffer): Buffer | null {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= 5) {
      const end = 1 + this.#bytes.readUInt32BE(1);
      if (end > this.#bytes.length) return null;
      const tag = this.#bytes[0];
      const body = this.#bytes.subarray(5, end);
      this.#bytes = this.#bytes.subarray(end);
      if (tag === ERROR_RESPONSE) throw serverError(body);
      if (tag === COPY_BOTH_RESPONSE) return this.#bytes;
    }
    return null;
  }
}

function startCommand(slotName: string, names: readonly string[], lsn: Lsn): string {
  const publications = names.map(quoteName).join().replaceAll("'", "''");
  return (
    `START_REPLICATION SLOT ${quoteName(slotName)} LOGICAL ${formatLsn(lsn)} ` +
    `(proto_version '1', publication_names '${publications}', messages 'true')`
  );
}

/** A name in a replication command: always in quotes, as the key words of that grammar are others than SQL's. */
function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
