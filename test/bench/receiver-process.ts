import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The receiver of the benchmarks, in a process of its own: reads and answers, nothing more.

const server = createServer((request, response) => {
  request.on('data', () => undefined);
  request.on('end', () => response.end());
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
