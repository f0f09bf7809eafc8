import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';
import pg from 'pg';
import { formatLsn, parseLsn, type Lsn } from '../postgres/lsn.ts';
import { clientConfig } from '../upstream/connect.ts';
import type { UpstreamConfig } from '../upstream/upstream-config.ts';
import { CaptureFault } from './fault.ts';
import { serverError } from './error-response.ts';

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

/** A pg client as far as we know its inside: the connection's socket is what we take over. */
interface ClientWithSocket {
  readonly connection: { readonly stream: Socket };
}

const COPY_BOTH_RESPONSE = 0x57;
const ERROR_RESPONSE = 0x45;

/**
 * A walsender connection. `pg` connects, negotiates TLS, logs in and answers questions; from `start` on the socket is
 * ours and pg no longer sees what arrives, because an object for each message costs more than everything else.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
export class ReplicationConnection {
  readonly #client: pg.Client;
  readonly #reads: StaticReads | null;
  #failure: Error | null = null;

  private constructor(client: pg.Client, reads: StaticReads | null) {
    this.#client = client;
    this.#reads = reads;
    client.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** For `open`; nothing is done yet. */
  static to(upstream: UpstreamConfig): ReplicationConnection {
    const config = { ...clientConfig(upstream), replication: 'database' };
    // TLS reads from the socket itself; there the bytes come as Node has them.
    const reads = upstream.ssl === false ? new StaticReads() : null;
    const client = new pg.Client({ ...config, ...(reads && { stream: () => reads.socket }) } as pg.ClientConfig);
    return new ReplicationConnection(client, reads);
  }

  /** Connects and logs in. Rejects with pg's errors, also when `close` is called meanwhile. */
  async open(): Promise<void> {
    await this.#client.connect();
  }

  /** For questions, before `start`. A walsender knows the simple protocol only: no parameters. */
  get session(): pg.ClientBase {
    return this.#client;
  }

  async identifySystem(): Promise<SystemIdentity> {
    const [row] = await this.#client
      .query<{ systemid: string; timeline: number; xlogpos: string }>('IDENTIFY_SYSTEM')
      .then(({ rows }) => rows);
    const flushLsn = parseLsn(row?.xlogpos ?? '');
    if (row === undefined || flushLsn === null) {
      throw new CaptureFault('protocol', 'IDENTIFY_SYSTEM has no position', null);
    }
    return { systemId: row.systemid, timeline: Number(row.timeline), flushLsn };
  }

  /**
   * Begins the stream at `lsn`, or at the slot's own position where that is later. Resolves when the server has begun,
   * rejects with its error (`code` is the SQLSTATE).
   */
  start(slotName: string, publicationName: string, lsn: Lsn, receiver: StreamReceiver): Promise<void> {
    const socket = this.#socket;
    socket.removeAllListeners('data');
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
      if (this.#reads) this.#reads.onBytes = onBytes;
      else socket.on('data', onBytes);
      socket.once('error', close);
      socket.once('close', () => close(this.#lost()));
      if (socket.destroyed) close(this.#lost());
      else socket.write(queryMessage(startCommand(slotName, publicationName, lsn)));
    });
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
    this.#socket.destroy();
  }

  #lost(): Error {
    return this.#failure ?? new CaptureFault('connection-lost', 'the server closed the connection', null);
  }

  get #socket(): Socket {
    return (this.#client as unknown as ClientWithSocket).connection.stream;
  }
}

const READ_BYTES = 256 * 1024;

/**
 * A socket that reads into one buffer, again and again. Left to itself, Node allocates for each read, and at this rate
 * what it has not yet collected is a hundred megabytes.
 */
class StaticReads {
  readonly socket: Socket;
  /** Takes what was read; the bytes are lent until it returns. */
  onBytes: (bytes: Buffer) => void;

  constructor() {
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length, buffer) => {
        this.onBytes((buffer as Buffer).subarray(0, length));
        return true;
      },
    };
    this.socket = new Socket({ onread } as SocketConstructorOpts);
    // Until the stream begins it is pg that reads, and pg keeps what it gets.
    this.onBytes = (bytes) => this.socket.emit('data', Buffer.from(bytes));
  }
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

function startCommand(slotName: string, publicationName: string, lsn: Lsn): string {
  const publications = quoteName(publicationName).replaceAll("'", "''");
  return (
    `START_REPLICATION SLOT ${quoteName(slotName)} LOGICAL ${formatLsn(lsn)} ` +
    `(proto_version '1', publication_names '${publications}')`
  );
}

/** A name in a replication command: always in quotes, as the key words of that grammar are others than SQL's. */
function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Query => 'Q' Int32(length) String */
function queryMessage(text: string): Buffer {
  const body = Buffer.from(`${text}\0`, 'utf8');
  const head = Buffer.alloc(5);
  head.writeUInt8(0x51, 0);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
