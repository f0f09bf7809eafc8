import type { Socket } from 'node:net';
import { writeForEver } from './raw-server.ts';

/** What a receiver may answer that is no good answer, and what that comes to: class and code. */
export interface BadAnswer {
  readonly name: string;
  readonly answer: (socket: Socket) => void;
  readonly expected: string;
}

const MB = 1024 * 1024;

/** An answer as it should be. */
export const GOOD_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

const drip = (socket: Socket, text: string, everyMs: number): void => {
  let at = 0;
  const timer = setInterval(() => {
    if (at < text.length && socket.writable) socket.write(text[at++]!);
    else clearInterval(timer);
  }, everyMs);
};

const after1 = (head: string, piece: string) => (socket: Socket) => {
  socket.write(head);
  writeForEver(socket, piece);
};

/** Those that never end by themselves: the deadline or a limit ends them, and memory stays as it is. */
export const ENDLESS: readonly BadAnswer[] = [
  {
    name: 'headers',
    answer: after1('HTTP/1.1 200 OK\r\n', 'X-Header: aaaaaaaaaa\r\n'.repeat(1000)),
    expected: 'transient invalid_answer',
  },
  {
    name: 'one header',
    answer: after1('HTTP/1.1 200 OK\r\nX: ', 'a'.repeat(65_536)),
    expected: 'transient invalid_answer',
  },
  {
    name: 'the name of a header',
    answer: after1('HTTP/1.1 200 OK\r\n', 'a'.repeat(65_536)),
    expected: 'transient invalid_answer',
  },
  { name: 'the status line', answer: after1('HTTP/1.1 200 ', 'a'.repeat(65_536)), expected: 'transient timeout' },
  {
    name: 'a body',
    answer: after1(`HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 40}\r\n\r\n`, 'a'.repeat(65_536)),
    expected: 'ok',
  },
  {
    name: 'a body of an error',
    answer: after1('HTTP/1.1 500 No\r\n\r\n', 'a'.repeat(65_536)),
    expected: 'transient http_500',
  },
  {
    name: 'a chunk',
    answer: after1('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n', 'a'.repeat(65_536)),
    expected: 'ok',
  },
  {
    name: 'chunks of a byte',
    answer: after1('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\na\r\n'.repeat(10_000)),
    expected: 'ok',
  },
  {
    name: 'a chunk’s extension',
    answer: after1('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;', 'a'.repeat(65_536)),
    expected: 'transient timeout',
  },
  {
    name: 'trailers',
    answer: after1('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'X: aaaaaaaaaaaa\r\n'.repeat(1000)),
    expected: 'transient invalid_answer',
  },
  {
    name: 'informational answers',
    answer: after1('', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(1000)),
    expected: 'transient timeout',
  },
  { name: 'empty lines', answer: after1('', '\r\n'.repeat(10_000)), expected: 'transient timeout' },
  {
    name: 'a byte at a time',
    answer: (socket) => drip(socket, `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(100_000)}`, 10),
    expected: 'transient timeout',
  },
  { name: 'silence', answer: () => undefined, expected: 'transient timeout' },
];

/** Those that end. */
export const ODD: readonly BadAnswer[] = [
  {
    name: 'an answer of HTTP/1.0 that ends with the connection',
    answer: (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nfine'),
    expected: 'ok',
  },
  {
    name: 'a body that ends with the connection',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nfine'),
    expected: 'ok',
  },
  {
    name: '100 Continue that nobody asked for',
    answer: (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${GOOD_ANSWER}`),
    expected: 'transient connection_reset',
  },
  {
    name: '103 Early Hints before the answer',
    answer: (socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${GOOD_ANSWER}`),
    expected: 'ok',
  },
  { name: 'a byte at a time that does end', answer: (socket) => drip(socket, GOOD_ANSWER, 1), expected: 'ok' },
  {
    name: 'less body than it says',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'),
    expected: 'transient connection_reset',
  },
  {
    name: 'half of a chunk',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab'),
    expected: 'transient connection_reset',
  },
  { name: 'a closed connection', answer: (socket) => socket.end(), expected: 'transient connection_reset' },
  { name: 'a reset connection', answer: (socket) => socket.resetAndDestroy(), expected: 'transient connection_reset' },
  { name: 'half of a head', answer: (socket) => socket.end('HTTP/1.1 200 O'), expected: 'transient connection_reset' },
  {
    name: 'no HTTP',
    answer: (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'random bytes',
    answer: (socket) => socket.write(Buffer.from(Array.from({ length: 999 }, (_, i) => (i * 97) % 256))),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a head of 1 MB',
    answer: (socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(MB)}\r\n\r\n`),
    expected: 'transient invalid_answer',
  },
  {
    name: 'two lengths',
    answer: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a length that is none',
    answer: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a length and chunks',
    answer: (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a NUL in a header',
    answer: (socket) => socket.write('HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a status that is none',
    answer: (socket) => socket.write('HTTP/1.1 OK\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a status of four digits',
    answer: (socket) => socket.write('HTTP/1.1 2000 OK\r\n\r\n'),
    expected: 'transient invalid_answer',
  },
  {
    name: 'a protocol that nobody asked for',
    answer: (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    expected: 'transient connection_reset',
  },
  {
    name: 'HTTP/2',
    answer: (socket) => socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])),
    expected: 'transient invalid_answer',
  },
];
