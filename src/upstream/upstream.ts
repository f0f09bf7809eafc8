import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { ChannelOptions, Opening } from './channel.ts';
import { HostOrder } from './host-order.ts';
import { reach, type Greet } from './reach.ts';
import type { UpstreamConfig, UpstreamHost } from './upstream-config.ts';

export interface UpstreamDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface LinkOptions {
  readonly channel: ChannelOptions;
  /** By which it can be given up. */
  readonly opening: Opening;
  /** Default: all, in the order in which to try them now. */
  readonly hosts?: readonly UpstreamHost[];
}

/** The upstream as one thread reaches it: remembers which of its servers answer. */
export class Upstream {
  readonly config: UpstreamConfig;
  readonly #dependencies: UpstreamDependencies;
  readonly #order: HostOrder;
  readonly #down = new Set<UpstreamHost>();
  #current: UpstreamHost | null = null;

  constructor(config: UpstreamConfig, dependencies: UpstreamDependencies) {
    this.config = config;
    this.#dependencies = dependencies;
    const { clock, random } = dependencies;
    this.#order = new HostOrder(config.hosts, config.loadBalanceHosts === 'random', clock, random);
  }

  /** The hosts in the order in which to try them now. */
  inOrder(hosts: readonly UpstreamHost[] = this.config.hosts): readonly UpstreamHost[] {
    return this.#order.next(hosts);
  }

  /** Connects to the first host that takes the greeting; rejects as `reach` does. */
  link<T>(options: LinkOptions, greet: Greet<T>): Promise<T> {
    const { tls, connectTimeoutMs } = this.config;
    return reach(
      options.hosts ?? this.inOrder(),
      {
        tls,
        timeoutMs: connectTimeoutMs,
        clock: this.#dependencies.clock,
        opening: options.opening,
        channel: options.channel,
        arrange: (endpoints) => this.#order.arrange(endpoints),
        reached: (host) => this.#reached(host),
        failed: (host, cause) => this.#failed(host, cause),
      },
      greet,
    );
  }

  /** Says in the log which server it is now, when that has changed. */
  noteCurrent(host: UpstreamHost): void {
    if (this.#current === host || this.config.loadBalanceHosts === 'random') return;
    this.#current = host;
    this.#dependencies.logger.info({ upstream: host.name }, 'connected to the upstream');
  }

  #reached(host: UpstreamHost): void {
    this.#order.reached(host);
    if (this.#down.delete(host)) this.#dependencies.logger.info({ upstream: host.name }, 'an upstream server is back');
  }

  #failed(host: UpstreamHost, cause: string): void {
    this.#order.failed(host);
    if (this.#down.has(host)) return;
    this.#down.add(host);
    this.#dependencies.logger.warn({ upstream: host.name, cause }, 'could not connect to an upstream server');
  }
}
