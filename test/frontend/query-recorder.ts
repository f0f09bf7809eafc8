import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after } from 'node:test';
import type { TcpAddress } from './proxy.ts';

/** A text that a session sends in a Query or a Parse. */
export interface RecordedText {
  readonly bytes: Buffer;
  /** As the session's startup packet has it. */
  readonly standardConformingStrings: boolean;
}

/**
 * Stands before a server and reports each text that any session sends, as soon as it is complete. Keeps nothing. A
 * session that sends what is no message of the protocol is passed on and read no further.
 */
export async function startRecorder(target: TcpAddress, report: (text: RecordedText) => void): Promise<TcpAddress> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const other = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const reader = new TextReader(report);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => reader.read(chunk));
    socket.pipe(other).pipe(socket);
    socket.on('error', () => other.destroy());
    other.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

class TextReader {
  readonly #report: (text: RecordedText) => void;
  #chunks: Buffer[] = [];
  #length = 0;
  /** How many bytes must be there before anything can be said. */
  #wanted = 4;
  #standardConformingStrings: boolean | null = null;

  constructor(report: (text: RecordedText) => void) {
    this.#report = report;
  }

  read(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return;
    let bytes = Buffer.concat(this.#chunks);
    for (let next = this.#take(bytes); next > 0; next = this.#take(bytes)) bytes = bytes.subarray(next);
    this.#chunks = [bytes];
    this.#length = bytes.length;
  }

  /** The length of the message at the beginning, reported; 0 where it is not complete. */
  #take(bytes: Buffer): number {
    const isStartup = this.#standardConformingStrings === null;
    const header = isStartup ? 4 : 5;
    this.#wanted = header;
    if (bytes.length < header) return 0;
    const end = header - 4 + Math.max(4, bytes.readUInt32BE(header - 4));
    this.#wanted = end;
    if (bytes.length < end) return 0;
    this.#wanted = 5;
    if (this.#standardConformingStrings === null) {
      this.#standardConformingStrings = !bytes.subarray(0, end).includes('standard_conforming_strings\0off\0');
      return end;
    }
    const text = textOf(bytes.subarray(0, end));
    if (text) this.#report({ bytes: text, standardConformingStrings: this.#standardConformingStrings });
    return end;
  }
}

function textOf(message: Buffer): Buffer | null {
  const body = message.subarray(5);
  if (message[0] === 0x51) return upToZero(body);
  return message[0] === 0x50 ? upToZero(body.subarray(body.indexOf(0) + 1)) : null;
}

function upToZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end === -1 ? undefined : end));
}
