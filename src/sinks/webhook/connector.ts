import { isIP, type LookupFunction, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import type { AddressGuard } from '../address-guard.ts';
import { guardedLookup } from '../guarded-lookup.ts';

type Undici = ReturnType<typeof buildConnector>;

/** Opens a connection. `times` is told of what it comes to, from its beginning on. */
export type Connector = (
  target: Parameters<Undici>[0],
  callback: Parameters<Undici>[1],
  times: ConnectionTimes,
) => void;

/** When the parts of making a connection ended, on a monotonic clock; null: that has not happened. */
export interface ConnectionTimes {
  startedMs: number | null;
  resolvedMs: number | null;
  connectedMs: number | null;
  securedMs: number | null;
}

/** Of a connection that is not begun. */
export function noTimes(): ConnectionTimes {
  return { startedMs: null, resolvedMs: null, connectedMs: null, securedMs: null };
}

export interface ConnectorOptions {
  readonly guard: AddressGuard;
  /** How long a connection may take, name and TLS included. */
  readonly timeoutMs: number;
  /** Authorities and certificate of one's own; null: the system's, and none. */
  readonly secureContext: SecureContext | null;
  readonly skipVerify: boolean;
  readonly nowMs: () => number;
  readonly lookup?: LookupFunction;
}

/**
 * Opens connections only to addresses that the guard allows. Checked are: a literal address, for which Node asks no lookup;
 * every address that a name resolves to, so that a mixed answer cannot slip one in; and the address that was connected to.
 * All in front of and behind the one connector, so that http and https are alike (Node ignores `blockList` for TLS).
 */
export function guardedConnector(options: ConnectorOptions): Connector {
  const { guard, timeoutMs, secureContext, skipVerify, lookup, nowMs } = options;
  const connect = buildConnector({
    allowH2: false,
    timeout: timeoutMs,
    rejectUnauthorized: !skipVerify,
    ...(secureContext === null ? {} : { secureContext }),
    lookup: guardedLookup(guard, lookup),
  });
  return (target, callback, times) => {
    times.startedMs = nowMs();
    if (isIP(target.hostname) !== 0) {
      try {
        guard.check(target.hostname, target.hostname);
      } catch (blocked) {
        callback(blocked as Error, null);
        return;
      }
    }
    // It gives the socket back, which its type leaves out.
    const opening = connect(target, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      try {
        guard.check(target.hostname, socket.remoteAddress ?? 'unknown');
      } catch (blocked) {
        socket.destroy();
        callback(blocked as Error, null);
        return;
      }
      // By TLS 1.3 a peer that takes no certificate of ours says so after the handshake, and hangs up: undici would tell the end alone.
      socket.once('error', (cause) => socket.destroy(cause));
      callback(null, socket);
    }) as unknown as Socket;
    opening.once('lookup', () => (times.resolvedMs = nowMs()));
    opening.once('connect', () => (times.connectedMs = nowMs()));
    opening.once('secureConnect', () => (times.securedMs = nowMs()));
  };
}
