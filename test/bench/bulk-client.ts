import { once } from 'node:events';
import { Socket } from 'node:net';
import pg from 'pg';
import { LOCAL_PASSWORD, LOCAL_USER } from '../../src/cli/local-postgres.ts';

export const BULK_ROWS = 200_000;
const ROW_BYTES = 1_000;
const READY = 'Z'.charCodeAt(0);
const COPY_IN = 'G'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);

/** The kinds of bulk transfer; each gives the seconds that it took. */
export const BULK = {
  SELECT: (port: number) => receive(port, 'SELECT id, body FROM bulk'),
  'COPY out': (port: number) => receive(port, 'COPY bulk TO STDOUT'),
  'COPY in': (port: number) => sendCopy(port),
} as const;

/** Makes the tables. COPY in goes to an unlogged one, so that the server's disk is not what is measured. */
export async function prepareBulk(port: number): Promise<void> {
  const client = new pg.Client({ port, host: '127.0.0.1', user: LOCAL_USER, password: LOCAL_PASSWORD });
  await client.connect();
  await client.query(`
    CREATE UNLOGGED TABLE bulk AS
      SELECT i AS id, repeat(md5(i::text), ${Math.ceil(ROW_BYTES / 32)})::varchar(${ROW_BYTES}) AS body
        FROM generate_series(1, ${BULK_ROWS}) i;
    CREATE UNLOGGED TABLE bulk_in (LIKE bulk)`);
  await client.query('VACUUM ANALYZE bulk');
  await client.end();
}

/** A connection that `pg` has opened, and that is ours from then on: no decoding stands between us and the bytes. */
async function open(port: number): Promise<Socket> {
  const socket = new Socket();
  const login = { user: LOCAL_USER, password: LOCAL_PASSWORD };
  const client = new pg.Client({ port, host: '127.0.0.1', ...login, stream: () => socket });
  await client.connect();
  // That we close it in the end is nobody's failure.
  client.on('error', () => undefined);
  socket.removeAllListeners('data');
  return socket;
}

function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const message = Buffer.alloc(5 + body.length);
  message.write('Q');
  message.writeInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

/** Reads messages up to one of the type; the bytes are counted and forgotten. */
function until(socket: Socket, wanted: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let header = Buffer.alloc(0);
    let left = 0;
    const onData = (chunk: Buffer): void => {
      let at = 0;
      while (at < chunk.length) {
        if (left > 0) {
          const step = Math.min(left, chunk.length - at);
          left -= step;
          at += step;
          continue;
        }
        const take = Math.min(5 - header.length, chunk.length - at);
        header = Buffer.concat([header, chunk.subarray(at, at + take)]);
        at += take;
        if (header.length < 5) continue;
        const type = header[0]!;
        left = header.readInt32BE(1) - 4;
        header = Buffer.alloc(0);
        if (type === ERROR) return reject(new Error('the server answered with an error'));
        if (type !== wanted) continue;
        socket.off('data', onData);
        // What follows the type and length of either message is short and in the same segment.
        resolve();
      }
    };
    socket.on('data', onData);
  });
}

async function receive(port: number, text: string): Promise<number> {
  const socket = await open(port);
  const startMs = performance.now();
  socket.write(query(text));
  await until(socket, READY);
  const seconds = (performance.now() - startMs) / 1000;
  socket.destroy();
  return seconds;
}

const COPY_CHUNK_ROWS = 64;

/** The CopyData messages of some rows, as psql sends them: one for each row. */
function copyChunk(): Buffer {
  const row = Buffer.from(`1\t${'x'.repeat(ROW_BYTES)}\n`);
  const message = Buffer.alloc(5 + row.length);
  message.write('d');
  message.writeInt32BE(4 + row.length, 1);
  row.copy(message, 5);
  return Buffer.concat(Array.from({ length: COPY_CHUNK_ROWS }, () => message));
}

async function sendCopy(port: number): Promise<number> {
  const socket = await open(port);
  const truncated = until(socket, READY);
  socket.write(query('TRUNCATE bulk_in'));
  await truncated;
  const chunk = copyChunk();
  const startMs = performance.now();
  const ready = until(socket, COPY_IN);
  socket.write(query('COPY bulk_in FROM STDIN'));
  await ready;
  const done = until(socket, READY);
  for (let sent = 0; sent < BULK_ROWS; sent += COPY_CHUNK_ROWS) {
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.write(Buffer.from([0x63, 0, 0, 0, 4]));
  await done;
  const seconds = (performance.now() - startMs) / 1000;
  socket.destroy();
  return seconds;
}
