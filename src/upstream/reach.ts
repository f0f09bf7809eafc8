import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { AssertionError } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { SQLSTATE } from '../postgres/sqlstate.ts';
import { Channel, type ChannelOptions, type Endpoint, type Opening } from './channel.ts';
import {
  causeOf,
  HandshakeError,
  RefusedError,
  UpstreamUnreachableError,
  WrongRoleError,
  type HostFailure,
} from './failure.ts';
import { negotiateTls } from './negotiate.ts';
import type { Encryption, TlsContext } from './tls-context.ts';
import type { UpstreamHost } from './upstream-config.ts';

/** One connection to one server, encrypted or not, on which nothing has been said yet. */
export interface Link {
  readonly channel: Channel;
  readonly host: UpstreamHost;
  /** The very address that answered. */
  readonly endpoint: Endpoint;
}

export interface ReachOptions {
  readonly tls: TlsContext;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** By which it can be given up; it then rejects. */
  readonly opening: Opening;
  readonly channel: ChannelOptions;
  /** Instead of what the host's name resolves to. */
  readonly endpoints?: readonly Endpoint[];
  /** In which order to try the addresses of one name; default: as they come. */
  readonly arrange?: (endpoints: readonly Endpoint[]) => readonly Endpoint[];
  /** Told of each host as it is known whether it answers. */
  readonly reached: (host: UpstreamHost) => void;
  readonly failed: (host: UpstreamHost, cause: string) => void;
}

/**
 * Says the first words on a fresh connection. `RefusedError` and `WrongRoleError` may lead to another way; any other
 * error counts as a connection that failed. `isLast`: no other way remains whatever the server says.
 */
export type Greet<T> = (link: Link, isLast: boolean) => Promise<T>;

/**
 * Tries the hosts in order, each at all its addresses, and each address in the ways that sslmode allows, until one takes
 * the greeting. As in libpq, a server that refuses a login ends the search, unless it refuses the way (28000) and there
 * is another, or is not ready (57P03) and there is another host. Rejects with the refusal's own error, or with
 * `UpstreamUnreachableError`, which names every host.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
export async function reach<T>(hosts: readonly UpstreamHost[], options: ReachOptions, greet: Greet<T>): Promise<T> {
  const failures: HostFailure[] = [];
  let refusal: Error | null = null;
  for (const [index, host] of hosts.entries()) {
    try {
      return await reachHost(host, options, greet, index === hosts.length - 1);
    } catch (error) {
      check(error, options);
      if (error instanceof RefusedError) {
        if (error.sqlstate !== SQLSTATE.cannot_connect_now) throw error.error;
        refusal = error.error;
      }
      const cause = error instanceof RefusedError ? error.error.message : causeOf(error);
      failures.push({ host: host.name, cause });
      options.failed(host, cause);
    }
  }
  if (refusal !== null && hosts.length === 1) throw refusal;
  throw new UpstreamUnreachableError(failures);
}

async function reachHost<T>(
  host: UpstreamHost,
  options: ReachOptions,
  greet: Greet<T>,
  isLastHost: boolean,
): Promise<T> {
  const endpoints = options.endpoints ?? (await resolve(host, options));
  const arranged = options.arrange?.(endpoints) ?? endpoints;
  let failure: unknown = null;
  for (const endpoint of arranged) {
    options.opening.check();
    try {
      return await reachEndpoint({ host, endpoint, options, greet, isLastHost });
    } catch (error) {
      check(error, options);
      // Those are of the server, which is the same at its other addresses.
      if (error instanceof RefusedError || error instanceof WrongRoleError) throw error;
      failure = error;
    }
  }
  throw failure;
}

interface Target<T> {
  readonly host: UpstreamHost;
  readonly endpoint: Endpoint;
  readonly options: ReachOptions;
  readonly greet: Greet<T>;
  readonly isLastHost: boolean;
}

/** What is left to try, as it is known while an attempt goes on. */
interface Progress {
  isConnected: boolean;
  /** The way in which the server was greeted; plain also where it has no TLS and goes on without. */
  way: Encryption;
  isLast: boolean;
}

async function reachEndpoint<T>(target: Target<T>): Promise<T> {
  const { endpoint, options } = target;
  const ways = options.tls.ways('path' in endpoint);
  let refusal: RefusedError | null = null;
  for (const [index, way] of ways.entries()) {
    const progress: Progress = { isConnected: false, way, isLast: index === ways.length - 1 };
    try {
      return await attempt(target, progress);
    } catch (error) {
      check(error, options);
      const { isConnected, isLast } = progress;
      if (error instanceof RefusedError) {
        if (isLast || error.sqlstate !== SQLSTATE.invalid_authorization_specification) throw error;
        refusal = error;
      } else if (isLast || !isConnected || error instanceof WrongRoleError || isTimeout(error)) {
        // A refusal says more than that the second way is not there at all.
        throw refusal ?? error;
      }
    }
  }
  throw new AssertionError('the last way neither failed nor succeeded');
}

async function attempt<T>(target: Target<T>, progress: Progress): Promise<T> {
  const { host, endpoint, options, greet, isLastHost } = target;
  const { opening } = options;
  const cancel = options.clock.after(options.timeoutMs, () => opening.fail(timeout()));
  try {
    const channel = await Channel.open(endpoint, options.channel, opening);
    progress.isConnected = true;
    if (progress.way === 'tls' && !(await negotiateTls(channel, options.tls, hostName(host)))) {
      if (progress.isLast) throw new HandshakeError('the server does not support TLS');
      progress.way = 'plain';
      progress.isLast = true;
    }
    const result = await greet({ channel, host, endpoint }, isLastHost && progress.isLast);
    opening.check();
    options.reached(host);
    return result;
  } catch (error) {
    opening.fail(error as Error);
    throw error;
  } finally {
    cancel();
  }
}

/** Goes on with what is no failure of the server's. */
function check(error: unknown, { opening }: ReachOptions): void {
  if (error instanceof AssertionError) throw error;
  opening.check();
}

function timeout(): Error {
  return Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' });
}

function isTimeout(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ETIMEDOUT';
}

function hostName({ name, target }: UpstreamHost): string {
  return 'host' in target ? target.host : name;
}

/** All addresses of a host. Rejects where the name has none, or the answer does not come in time. */
async function resolve({ target }: UpstreamHost, { clock, timeoutMs }: ReachOptions): Promise<readonly Endpoint[]> {
  if ('path' in target || isIP(target.host) !== 0) return [target];
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(timeoutMs, () => late.reject(timeout()));
  try {
    const found = await Promise.race([lookup(target.host, { all: true, order: 'verbatim' }), late.promise]);
    return found.map(({ address }) => ({ host: address, port: target.port }));
  } finally {
    cancel();
  }
}
