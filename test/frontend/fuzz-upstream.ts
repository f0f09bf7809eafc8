import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after } from 'node:test';
import type { Cancel, Clock } from '../../src/base/clock.ts';
import { systemClock } from '../../src/base/clock.ts';
import { Writer } from '../../src/wire/writer.ts';

/** A server's message. */
export function serverMessage(type: string, body: string | Buffer = ''): Buffer {
  return new Writer()
    .begin(type.charCodeAt(0))
    .bytes(typeof body === 'string' ? Buffer.from(body, 'latin1') : body)
    .end()
    .finish();
}

export const AUTHENTICATED = Buffer.concat([serverMessage('R', Buffer.alloc(4)), serverMessage('Z', 'I')]);

/** What a fake upstream does with the bytes of one session, behind its startup packet. `name` is the client's user. */
export type Behaviour = (socket: Socket, name: string) => (bytes: Buffer) => void;

/** A server on loopback that lets everyone in and then does as the behaviour of the moment says. */
export class FakeUpstream {
  behaviour: Behaviour = echo;
  readonly open = new Set<Socket>();
  #port = 0;

  static async start(): Promise<FakeUpstream> {
    const upstream = new FakeUpstream();
    const server = createServer((socket) => upstream.#session(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    upstream.#port = (server.address() as AddressInfo).port;
    after(() => server.close());
    return upstream;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.#port };
  }

  #session(socket: Socket): void {
    this.open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.open.delete(socket));
    let take: ((bytes: Buffer) => void) | null = null;
    let bytes: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      if (take) return take(chunk);
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 4 || bytes.length < bytes.readUInt32BE(0)) return;
      const length = bytes.readUInt32BE(0);
      const name = /user\0([^\0]*)/.exec(bytes.toString('latin1', 8, length))?.[1] ?? '';
      socket.write(AUTHENTICATED);
      take = this.behaviour(socket, name);
      if (bytes.length > length) take(bytes.subarray(length));
    });
  }
}

/** What ends the answer to a message of the extended protocol. */
const ENDS: Readonly<Record<string, string>> = { P: '1', B: '2', C: '3', D: 'n', E: 'C' };

/** Answers each Query with a row that has the session's name in it, and ReadyForQuery to what asks for one. */
export const echo: Behaviour = (socket, name) => {
  let bytes: Buffer = Buffer.alloc(0);
  const row = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, name.length]), Buffer.from(name)]);
  const answer = Buffer.concat([serverMessage('D', row), serverMessage('C', 'SELECT 1\0'), serverMessage('Z', 'I')]);
  return (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5) {
      const end = 1 + bytes.readUInt32BE(1);
      // As a server does, it ends the session with whoever is out of step.
      if (end < 5 || end > 1_000_000) return void socket.destroy();
      if (bytes.length < end) return;
      const type = String.fromCharCode(bytes[0]!);
      bytes = bytes.subarray(end);
      if (type === 'Q') socket.write(answer);
      else if (type in ENDS) socket.write(serverMessage(ENDS[type]!, type === 'E' ? 'SELECT 0\0' : ''));
      else if (type === 'S' || type === 'F') socket.write(serverMessage('Z', 'I'));
      else if (type === 'X') return void socket.end();
    }
  };
};

/** The system's clock, which knows how many timers are waiting. */
export class CountingClock implements Clock {
  waiting = 0;

  now(): number {
    return systemClock.now();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  after(delayMs: number, run: () => void): Cancel {
    this.waiting++;
    let isOver = false;
    const over = (): void => {
      if (!isOver) this.waiting--;
      isOver = true;
    };
    const cancel = systemClock.after(delayMs, () => {
      over();
      run();
    });
    return () => {
      over();
      cancel();
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }
}
