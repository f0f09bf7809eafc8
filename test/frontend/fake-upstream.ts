import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after } from 'node:test';

/** An upstream that says it is ready and then plays back what it is given to say. */
export async function fakeUpstream(speak: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.from('520000000800000000' + '5a0000000549', 'hex'));
      speak(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}
