import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import type { Address } from '../../src/frontend/sockets.ts';
import { SessionUpstream } from '../../src/upstream/session-upstream.ts';
import { Upstream } from '../../src/upstream/upstream.ts';
import { parseUpstreamUrl } from '../../src/upstream/upstream-config.ts';

/** The upstream of a URL, or another database of it, on the system's clock, saying nothing. */
export function upstreamOf(url: string, database?: string): Upstream {
  const config = parseUpstreamUrl(url);
  const dependencies = { clock: systemClock, random: systemRandom, logger: silentLogger };
  return new Upstream({ ...config, database: database ?? config.database }, dependencies);
}

/** The same as sessions reach it. */
export function sessionUpstreamOf(url: string): SessionUpstream {
  return new SessionUpstream(upstreamOf(url), systemClock);
}

/** Sessions go to one address, without TLS. */
export function plainUpstream(address: Address): SessionUpstream {
  const config = parseUpstreamUrl('postgres://nobody@127.0.0.1/?sslmode=disable');
  const name = 'path' in address ? address.path : `${address.host}:${address.port}`;
  const dependencies = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const upstream = new Upstream({ ...config, hosts: [{ name, target: address }] }, dependencies);
  return new SessionUpstream(upstream, systemClock);
}
