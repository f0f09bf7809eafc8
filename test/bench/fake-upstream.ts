// A server that lets everybody in and answers every message with ReadyForQuery: it holds many sessions at little cost.
// Prints its port.
import { createServer, type AddressInfo } from 'node:net';

const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const GREETING = Buffer.concat([
  Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]),
  Buffer.from([0x4b, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2]),
  READY,
]);

const server = createServer({ noDelay: true }, (socket) => {
  socket.once('data', () => {
    socket.write(GREETING);
    socket.on('data', () => socket.write(READY));
  });
  socket.on('error', () => undefined);
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  console.log((server.address() as AddressInfo).port);
});
