import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import {
  writeBind,
  writeClose,
  writeCopyFail,
  writeDescribe,
  writeEmpty,
  writeExecute,
  writeParse,
  writeQuery,
  type Target,
} from '../../src/wire/frontend-messages.ts';
import { FRONTEND } from '../../src/wire/message-type.ts';
import { encodeSslRequest, encodeStartupMessage } from '../../src/wire/startup.ts';
import { Writer } from '../../src/wire/writer.ts';

const DEADLINE_MS = 20_000;

/** A message of a server's. */
export interface Received {
  readonly type: string;
  readonly body: Buffer;
}

function message(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return writer.finish();
}

const text = (value: string | Buffer): Buffer => (typeof value === 'string' ? Buffer.from(value) : value);

interface BindOptions {
  readonly parameterFormats?: readonly number[];
  readonly resultFormats?: readonly number[];
}

/** A client's messages, one function for each. */
export const say = {
  query: (sql: string | Buffer): Buffer => message((writer) => writeQuery(writer, text(sql))),
  parse: (name: string, sql: string | Buffer, parameterTypes: readonly number[] = []): Buffer =>
    message((writer) => writeParse(writer, { name, text: text(sql), parameterTypes })),
  bind: (
    portal: string,
    statement: string,
    values: ReadonlyArray<string | Buffer | null> = [],
    { parameterFormats = [], resultFormats = [] }: BindOptions = {},
  ): Buffer =>
    message((writer) =>
      writeBind(writer, {
        portal,
        statement,
        parameterFormats,
        parameters: values.map((value) => (value === null ? null : text(value))),
        resultFormats,
      }),
    ),
  describe: (kind: Target['kind'], name: string): Buffer => message((writer) => writeDescribe(writer, { kind, name })),
  execute: (portal: string, maxRows = 0): Buffer => message((writer) => writeExecute(writer, { portal, maxRows })),
  close: (kind: Target['kind'], name: string): Buffer => message((writer) => writeClose(writer, { kind, name })),
  sync: (): Buffer => message((writer) => writeEmpty(writer, FRONTEND.sync)),
  flush: (): Buffer => message((writer) => writeEmpty(writer, FRONTEND.flush)),
  terminate: (): Buffer => message((writer) => writeEmpty(writer, FRONTEND.terminate)),
  copyData: (data: string): Buffer => message((writer) => writer.begin(FRONTEND.copyData).bytes(text(data)).end()),
  copyDone: (): Buffer => message((writer) => writeEmpty(writer, FRONTEND.copyDone)),
  copyFail: (reason: string): Buffer => message((writer) => writeCopyFail(writer, reason)),
  /** Of an ordinary statement: Parse, Bind, Describe, Execute under the unnamed names, without Sync. */
  run: (sql: string, values: readonly string[] = []): Buffer =>
    Buffer.concat([say.parse('', sql), say.bind('', '', values), say.describe('portal', ''), say.execute('')]),
};

/** A client that sends any bytes and keeps what comes: for tests of the protocol itself. Needs `trust`. */
export class RawClient {
  readonly socket: Socket;
  /** All messages since the start (or since `take`). */
  received: Received[] = [];
  isClosed = false;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** Connected, and nothing sent. */
  static async open(address: NetConnectOpts): Promise<RawClient> {
    const socket = connect(address);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Inside TLS, and nothing sent there. `isDirect`: TLS begins at once, without SSLRequest. Rejects where that fails. */
  static async secure(address: NetConnectOpts, options: ConnectionOptions = {}, isDirect = false): Promise<RawClient> {
    const socket = connect(address);
    await once(socket, 'connect');
    if (!isDirect) {
      socket.write(encodeSslRequest());
      const [answer] = (await once(socket, 'data')) as [Buffer];
      if (answer.toString() !== 'S') throw new Error(`no TLS, but ${answer.toString()}`);
    }
    const secured = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['postgresql'], ...options });
    await once(secured, 'secureConnect');
    return new RawClient(secured);
  }

  /** Connected, authenticated, and ready for a query. */
  static async start(address: NetConnectOpts, parameters: Record<string, string> = {}, minor = 0): Promise<RawClient> {
    const client = await RawClient.open(address);
    client.send(encodeStartupMessage({ user: 'postgres', database: 'postgres', ...parameters }, minor));
    await client.ready();
    return client;
  }

  send(...messages: Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** Resolves with what has come up to and with the `count`-th ReadyForQuery, and forgets it. */
  async ready(count = 1): Promise<Received[]> {
    await this.#until(() => this.#count('Z') >= count || this.isClosed, `${count} ReadyForQuery`);
    return this.take();
  }

  /** Resolves with what has come up to and with the `count`-th message of the type, and forgets it. */
  async until(type: string, count = 1): Promise<Received[]> {
    await this.#until(() => this.#count(type) >= count || this.isClosed, `${count} of ${type}`);
    // What came with it in one read is of what comes next.
    let left = count;
    const last = this.received.findIndex((message) => message.type === type && --left === 0);
    return last === -1 ? this.take() : this.received.splice(0, last + 1);
  }

  /** Resolves with what came before the end of the connection. */
  async closed(): Promise<Received[]> {
    await this.#until(() => this.isClosed, 'the end of the connection');
    return this.take();
  }

  take(): Received[] {
    const { received } = this;
    this.received = [];
    return received;
  }

  /** The simple query's answer. */
  async query(sql: string): Promise<Received[]> {
    this.send(say.query(sql));
    return this.ready();
  }

  close(): void {
    this.socket.destroy();
  }

  #until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        const seen = typesOf(this.received).slice(-200);
        reject(new Error(`waited ${DEADLINE_MS} ms in vain for ${what}; came: ${seen}`));
      }, DEADLINE_MS);
      this.#wake = () => {
        if (!condition()) return;
        clearTimeout(late);
        resolve();
      };
    });
  }

  #count(type: string): number {
    return this.received.filter((each) => each.type === type).length;
  }

  #read(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    let at = 0;
    while (this.#bytes.length - at >= 5) {
      const end = at + 1 + this.#bytes.readInt32BE(at + 1);
      // Garbage, where the test has the server send it, is kept for no one.
      if (end < at + 5 || end > this.#bytes.length) break;
      this.received.push({
        type: String.fromCharCode(this.#bytes[at]!),
        body: Buffer.from(this.#bytes.subarray(at + 5, end)),
      });
      at = end;
    }
    this.#bytes = this.#bytes.subarray(at);
    this.#wake();
  }
}

/** The types in one string: `TDCZ`. */
export function typesOf(messages: readonly Received[]): string {
  return messages.map(({ type }) => type).join('');
}

/** The status of the last ReadyForQuery. */
export function statusOf(messages: readonly Received[]): string | undefined {
  return messages.findLast(({ type }) => type === 'Z')?.body.toString();
}

/** The fields of each ErrorResponse or NoticeResponse. */
export function reportsOf(messages: readonly Received[], type: 'E' | 'N' = 'E'): Record<string, string>[] {
  return messages
    .filter((each) => each.type === type)
    .map(({ body }) =>
      Object.fromEntries(
        body
          .toString()
          .split('\0')
          .filter((field) => field !== '')
          .map((field) => [field[0], field.slice(1)]),
      ),
    );
}

/** The tags of each CommandComplete. */
export function tagsOf(messages: readonly Received[]): string[] {
  return messages.filter(({ type }) => type === 'C').map(({ body }) => body.toString('utf8', 0, body.length - 1));
}

/** The values of each DataRow, as they came. */
export function rowsOf(messages: readonly Received[]): Array<Array<Buffer | null>> {
  return messages
    .filter(({ type }) => type === 'D')
    .map(({ body }) => {
      const values: Array<Buffer | null> = [];
      let at = 2;
      for (let left = body.readInt16BE(0); left > 0; left--) {
        const length = body.readInt32BE(at);
        at += 4;
        values.push(length === -1 ? null : body.subarray(at, at + length));
        at += Math.max(0, length);
      }
      return values;
    });
}

/** Rows as text. */
export function textRowsOf(messages: readonly Received[]): Array<Array<string | null>> {
  return rowsOf(messages).map((row) => row.map((value) => value?.toString() ?? null));
}
