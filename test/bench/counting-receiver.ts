// The cheapest endpoint there is: a process of its own that counts requests and bytes, keeps the largest of
// the first bodies as a sample, and answers 204. GET /counted tells. By its path a request asks for another answer:
// /delay/<ms> answers after so long, /status/<code> with that, /hang never does.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The first requests of a backlog may be smaller than those that follow. */
const SAMPLED = 1_000;

let requests = 0;
let bytes = 0;
let sample = '';
/** Taken and not answered yet, and the most there were at once. */
let open = 0;
let mostOpen = 0;

function answer(path: string, response: ServerResponse): void {
  const [, kind, value] = path.split('/');
  const end = (status: number): void => {
    open--;
    response.writeHead(status).end();
  };
  if (kind === 'hang') return;
  if (kind === 'delay') setTimeout(end, Number(value), 204);
  else end(kind === 'status' ? Number(value) : 204);
}

const server = createServer((request, response) => {
  if (request.url === '/counted') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ requests, bytes, sample, mostOpen }));
    return;
  }
  const keep: Buffer[] | null = requests < SAMPLED ? [] : null;
  mostOpen = Math.max(mostOpen, ++open);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    keep?.push(chunk);
  });
  request.on('end', () => {
    requests++;
    const body = keep && Buffer.concat(keep);
    if (body && body.length > sample.length) sample = body.toString('utf8');
    answer(request.url ?? '/', response);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
