// The cheapest endpoint there is: a process of its own that counts requests and bytes, keeps the first body as a
// sample, and answers 204. GET /counted tells.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

let requests = 0;
let bytes = 0;
let sample = '';

const server = createServer((request, response) => {
  if (request.url === '/counted') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ requests, bytes, sample }));
    return;
  }
  const keep: Buffer[] | null = sample === '' ? [] : null;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    keep?.push(chunk);
  });
  request.on('end', () => {
    requests++;
    if (keep) sample = Buffer.concat(keep).toString('utf8');
    response.writeHead(204).end();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
