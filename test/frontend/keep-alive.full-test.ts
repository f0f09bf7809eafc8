import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeStartupMessage } from '../../src/wire/startup.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { startProxy } from './proxy.ts';
import { clientTls } from './tls-files.ts';

// Law: the kernel watches over both sides of a session that is silent, as long after as the option says.

const ESTABLISHED = '01';
const KEEP_ALIVE = '02';
/** Linux counts hundredths of a second there. */
const PER_SECOND = 100;

/**
 * In how many seconds the kernel will ask after the other side of each connection whose port on this side (or, for
 * 'remote', on the other) is the given one; null where it will not. https://docs.kernel.org/networking/proc_net_tcp.html
 */
function secondsToProbe(side: 'local' | 'remote', port: number): (number | null)[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === ESTABLISHED && fields[side === 'local' ? 1 : 2]?.endsWith(`:${wanted}`))
    .map((fields) => {
      const [timer, when = ''] = (fields[5] ?? '').split(':');
      return timer === KEEP_ALIVE ? Number.parseInt(when, 16) / PER_SECOND : null;
    });
}

for (const isEncrypted of [false, true]) {
  for (const tcpKeepaliveMs of [45_000, 0]) {
    test(`${isEncrypted ? 'TLS' : 'plain'}, ${tcpKeepaliveMs} ms`, async () => {
      const upstream = await fakeUpstream((socket) => void socket.on('end', () => socket.end()));
      const { address } = await startProxy(upstream, { tls: clientTls('allow'), limits: { tcpKeepaliveMs } });
      const client = isEncrypted ? await RawClient.secure(address) : await RawClient.open(address);
      client.send(encodeStartupMessage({ user: 'postgres' }));
      await client.ready();
      // The same timer serves what has just been sent, until the other side has acknowledged it.
      await waitFor('the timers', () => {
        const sides = [secondsToProbe('local', address.port), secondsToProbe('remote', upstream.port)];
        return sides.every((found) => {
          const [seconds = null] = found;
          const isAsked = seconds !== null && seconds > 20 && seconds <= 45;
          return found.length > 0 && (tcpKeepaliveMs > 0 ? isAsked : seconds === null);
        });
      });
      client.close();
    });
  }
}
