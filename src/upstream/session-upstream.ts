import type { Clock } from '../base/clock.ts';
import type { ChannelOptions, Endpoint, Opening } from './channel.ts';
import { askRoleOf } from './connect.ts';
import { UpstreamUnreachableError } from './failure.ts';
import { reach, type Greet } from './reach.ts';
import { standbyMismatch } from './roles.ts';
import { TargetSelector, type Targets } from './target-selector.ts';
import { TlsContext } from './tls-context.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamHost } from './upstream-config.ts';

/** Where a session is connected, for what concerns it to reach the same server in the same way. */
export interface Whereabouts {
  readonly host: UpstreamHost;
  readonly endpoint: Endpoint;
  readonly isEncrypted: boolean;
}

/**
 * The upstream as clients' sessions reach it: at a server of the kind that `target_session_attrs` wants. Whose credentials
 * are not ours cannot be tried at one server after the other, so servers are asked beforehand on connections of our own;
 * with one kind as good as another nobody is asked anything.
 */
export class SessionUpstream {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #selector: TargetSelector | null;

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
    const { hosts, targetSessionAttrs: wanted } = upstream.config;
    this.#selector =
      wanted === 'any'
        ? null
        : new TargetSelector({ hosts, wanted, clock, probe: (host) => askRoleOf(upstream, host) });
  }

  /** Connects a session to the server that is right now. Rejects as `reach` does. */
  async open<T>(channel: ChannelOptions, opening: Opening, greet: Greet<T>): Promise<T> {
    const told: Greet<T> = async (link, isLast) => {
      const result = await greet(link, isLast);
      this.#upstream.noteCurrent(link.host);
      return result;
    };
    if (this.#selector === null) return this.#upstream.link({ channel, opening }, told);
    const targets = await this.#selector.targets();
    try {
      return await this.#upstream.link({ channel, opening, hosts: this.#inOrder(targets) }, told);
    } catch (error) {
      if (!(error instanceof UpstreamUnreachableError)) throw error;
      this.#selector.invalidate();
      if (targets.isFresh) throw error;
    }
    const others = this.#inOrder(await this.#selector.targets());
    return this.#upstream.link({ channel, opening, hosts: others }, told);
  }

  #inOrder({ hosts, secondBest }: Targets): readonly UpstreamHost[] {
    return [...this.#upstream.inOrder(hosts), ...this.#upstream.inOrder(secondBest)];
  }

  /** The connection of a session broke: its server may not be what it was. */
  lost(): void {
    this.#selector?.invalidate();
  }

  /** A session learns at its start whether its server is a standby. Why it is the wrong one then, or null. */
  contradiction(isStandby: boolean): string | null {
    const problem = standbyMismatch(this.#upstream.config.targetSessionAttrs, isStandby);
    if (problem !== null) this.#selector?.invalidate();
    return problem;
  }

  /**
   * Connects for a request that concerns a session: to the very address it is connected to, and encrypted if it is.
   * Without a session, to the first server of the list.
   */
  openBeside<T>(session: Whereabouts | null, channel: ChannelOptions, opening: Opening, greet: Greet<T>): Promise<T> {
    const { tls, connectTimeoutMs } = this.#upstream.config;
    if (session === null) {
      return this.#upstream.link({ channel, opening, hosts: this.#upstream.config.hosts.slice(0, 1) }, greet);
    }
    return reach(
      [session.host],
      {
        tls: session.isEncrypted ? tls.required : PLAIN,
        timeoutMs: connectTimeoutMs,
        clock: this.#clock,
        opening,
        channel,
        endpoints: [session.endpoint],
        reached: () => undefined,
        failed: () => undefined,
      },
      greet,
    );
  }
}

const PLAIN = new TlsContext({
  sslMode: 'disable',
  sslNegotiation: 'postgres',
  sslRootCert: null,
  sslCert: null,
  sslKey: null,
});
