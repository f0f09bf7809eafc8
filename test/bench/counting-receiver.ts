// The cheapest endpoint there is: a process of its own that counts requests and bytes, keeps the largest of
// the first bodies as a sample, and answers 204. GET /counted tells.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The first requests of a backlog may be smaller than those that follow. */
const SAMPLED = 1_000;

let requests = 0;
let bytes = 0;
let sample = '';

const server = createServer((request, response) => {
  if (request.url === '/counted') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ requests, bytes, sample }));
    return;
  }
  const keep: Buffer[] | null = requests < SAMPLED ? [] : null;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    keep?.push(chunk);
  });
  request.on('end', () => {
    requests++;
    const body = keep && Buffer.concat(keep);
    if (body && body.length > sample.length) sample = body.toString('utf8');
    response.writeHead(204).end();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
