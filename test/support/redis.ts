import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after } from 'node:test';
import { temporaryFolder } from './test-database.ts';
import { waitFor } from './wait-for.ts';

/** Debian's redis-server on a unix socket for this test file, and a way to it: `redis-store`'s `RedisCommand`. */
export async function startRedis(): Promise<(command: string, ...args: string[]) => Promise<unknown>> {
  const socketPath = join(temporaryFolder(), 'redis.sock');
  const server = spawn('/usr/bin/redis-server', ['--port', '0', '--unixsocket', socketPath, '--save', ''], {
    stdio: 'ignore',
  });
  after(() => server.kill());
  const socket = await waitFor('the server', () => open(socketPath));
  after(() => socket.destroy());
  const connection = new RedisConnection(socket);
  return (...words) => connection.send(words);
}

function open(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

/** As much of RESP2 as the commands need: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
class RedisConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #unread = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#unread += text;
      this.#read();
    });
  }

  send(words: readonly string[]): Promise<unknown> {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`*${words.length}\r\n${parts.join('')}`);
    });
  }

  #read(): void {
    for (let next = parse(this.#unread, 0); next !== null; next = parse(this.#unread, 0)) {
      this.#unread = this.#unread.slice(next.end);
      const { resolve, reject } = this.#waiting.shift()!;
      if (next.value instanceof Error) reject(next.value);
      else resolve(next.value);
    }
  }
}

interface Parsed {
  readonly value: unknown;
  readonly end: number;
}

/** Null where the text is not whole yet. */
function parse(text: string, at: number): Parsed | null {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd === -1) return null;
  const line = text.slice(at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (text.charAt(at)) {
    case '+':
      return { value: line, end };
    case '-':
      return { value: new Error(line), end };
    case ':':
      return { value: Number(line), end };
    case '$': {
      const length = Number(line);
      if (length === -1) return { value: null, end };
      return text.length < end + length + 2 ? null : { value: text.slice(end, end + length), end: end + length + 2 };
    }
    default: {
      const items: unknown[] = [];
      let itemAt = end;
      for (let i = 0; i < Number(line); i++) {
        const item = parse(text, itemAt);
        if (item === null) return null;
        items.push(item.value);
        itemAt = item.end;
      }
      return { value: items, end: itemAt };
    }
  }
}
