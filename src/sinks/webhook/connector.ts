import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import type { AddressGuard } from './address-guard.ts';

/** How long a connection may take, TLS included. */
const CONNECT_TIMEOUT_MS = 5_000;

export type Connector = ReturnType<typeof buildConnector>;

/**
 * Opens connections only to addresses that the guard allows. Checked are: a literal address, for which Node asks no lookup;
 * every address that a name resolves to, so that a mixed answer cannot slip one in; and the address that was connected to.
 * All in front of and behind the one connector, so that http and https are alike (Node ignores `blockList` for TLS).
 */
export function guardedConnector(guard: AddressGuard, lookup: LookupFunction = resolveAll): Connector {
  const connect = buildConnector({
    allowH2: false,
    timeout: CONNECT_TIMEOUT_MS,
    lookup: (host, options, callback) => {
      lookup(host, { ...options, all: true }, (error, answer) => {
        if (error) {
          callback(error, []);
          return;
        }
        const addresses: LookupAddress[] = Array.isArray(answer) ? answer : [{ address: answer, family: isIP(answer) }];
        try {
          for (const { address } of addresses) guard.check(host, address);
        } catch (blocked) {
          callback(blocked as Error, []);
          return;
        }
        const first = addresses[0];
        if (options.all === true || first === undefined) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    },
  });
  return (options, callback) => {
    if (isIP(options.hostname) !== 0) {
      try {
        guard.check(options.hostname, options.hostname);
      } catch (blocked) {
        callback(blocked as Error, null);
        return;
      }
    }
    connect(options, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      try {
        guard.check(options.hostname, socket.remoteAddress ?? 'unknown');
      } catch (blocked) {
        socket.destroy();
        callback(blocked as Error, null);
        return;
      }
      callback(null, socket);
    });
  };
}

const resolveAll: LookupFunction = (host, options, callback) => {
  systemLookup(host, { ...options, all: true }, callback);
};
