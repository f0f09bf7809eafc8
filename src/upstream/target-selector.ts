import type { Clock } from '../base/clock.ts';
import type { SessionAttrs } from '../postgres/connection-url.ts';
import { causeOf, UpstreamUnreachableError } from './failure.ts';
import { mismatch, type Role } from './roles.ts';
import type { UpstreamHost } from './upstream-config.ts';

/** For how long the servers' roles are believed. */
const BELIEVED_MS = 30_000;

export interface TargetSelectorOptions {
  readonly hosts: readonly UpstreamHost[];
  readonly wanted: SessionAttrs;
  readonly clock: Clock;
  /** Asks one server on a connection of our own. Must come to an end. */
  readonly probe: (host: UpstreamHost) => Promise<Role>;
}

export interface Targets {
  /** The servers that are wanted. */
  readonly hosts: readonly UpstreamHost[];
  /** Those that will do where none of them answers; together there is one at least. */
  readonly secondBest: readonly UpstreamHost[];
  /** Whether they were asked just now. */
  readonly isFresh: boolean;
}

type Finding = { readonly role: Role } | { readonly cause: string };

/**
 * Knows which servers are of the kind that `target_session_attrs` wants. All are asked at once, by one caller for all who
 * wait, when what is known is too old or has proved wrong. The answer does not wait for a server that failed the last time
 * while others answer.
 */
export class TargetSelector {
  readonly #options: TargetSelectorOptions;
  readonly #findings = new Map<UpstreamHost, Finding>();
  #believedUntilMs = Number.NEGATIVE_INFINITY;
  #round: Promise<void> | null = null;
  #invalidations = 0;
  /** The number of the round that each finding is of: one that comes late does not replace what is known since. */
  readonly #roundOf = new Map<UpstreamHost, number>();
  #rounds = 0;

  constructor(options: TargetSelectorOptions) {
    this.#options = options;
  }

  /** Rejects with `UpstreamUnreachableError`, which names each server and what is wrong with it, where none is right. */
  async targets(): Promise<Targets> {
    const isFresh = this.#options.clock.monotonicMs() >= this.#believedUntilMs;
    if (isFresh) {
      this.#round ??= this.#ask().finally(() => (this.#round = null));
      await this.#round;
    }
    const hosts = this.#options.hosts.filter((host) => this.#fits(host));
    const secondBest = this.#secondBest();
    if (hosts.length + secondBest.length > 0) return { hosts, secondBest, isFresh };
    this.invalidate();
    throw new UpstreamUnreachableError(
      this.#options.hosts.map((host) => ({ host: host.name, cause: this.#problem(host) })),
    );
  }

  /** Something has shown that the roles are not what they were: the next caller has the servers asked again. */
  invalidate(): void {
    this.#invalidations++;
    this.#believedUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** Asks all; resolves as soon as the best is known. */
  #ask(): Promise<void> {
    const { hosts, probe, clock } = this.#options;
    const pending = new Set(hosts);
    const failedBefore = new Set(hosts.filter((host) => this.#failure(host) !== null));
    const round = ++this.#rounds;
    const invalidations = this.#invalidations;
    let isDecided = false;
    return new Promise((resolve) => {
      const settle = (host: UpstreamHost, finding: Finding): void => {
        pending.delete(host);
        if (round < (this.#roundOf.get(host) ?? 0)) return;
        this.#roundOf.set(host, round);
        this.#findings.set(host, finding);
        if (isDecided || !this.#isDecided(pending, failedBefore)) return;
        isDecided = true;
        // What has proved wrong since it was asked for is not believed.
        if (invalidations === this.#invalidations) this.#believedUntilMs = clock.monotonicMs() + BELIEVED_MS;
        resolve();
      };
      for (const host of hosts) {
        probe(host).then(
          (role) => settle(host, { role }),
          (error: unknown) => settle(host, { cause: ownCause(error) }),
        );
      }
    });
  }

  #isDecided(pending: ReadonlySet<UpstreamHost>, failedBefore: ReadonlySet<UpstreamHost>): boolean {
    if (pending.size === 0) return true;
    const { hosts, wanted } = this.#options;
    const asked = hosts.filter((host) => !pending.has(host));
    const first = asked.find((host) => this.#fits(host));
    // There is but one of these.
    if (first !== undefined && (wanted === 'primary' || wanted === 'read-write')) return true;
    const awaited = hosts.filter((host) => pending.has(host) && !failedBefore.has(host));
    if (first !== undefined) return awaited.every((host) => hosts.indexOf(host) > hosts.indexOf(first));
    return wanted === 'prefer-standby' && awaited.length === 0 && asked.some((host) => this.#failure(host) === null);
  }

  #secondBest(): readonly UpstreamHost[] {
    const { hosts, wanted } = this.#options;
    if (wanted !== 'prefer-standby') return [];
    return hosts.filter((host) => this.#findings.has(host) && this.#failure(host) === null && !this.#fits(host));
  }

  #fits(host: UpstreamHost): boolean {
    const finding = this.#findings.get(host);
    return finding !== undefined && 'role' in finding && mismatch(this.#options.wanted, finding.role) === null;
  }

  #failure(host: UpstreamHost): string | null {
    const finding = this.#findings.get(host);
    return finding !== undefined && 'cause' in finding ? finding.cause : null;
  }

  #problem(host: UpstreamHost): string {
    const finding = this.#findings.get(host);
    if (finding === undefined) return 'no answer';
    return ('cause' in finding ? finding.cause : mismatch(this.#options.wanted, finding.role)) ?? 'no answer';
  }
}

/** Of a server that was asked alone, without its name, which is said anyway. */
function ownCause(error: unknown): string {
  const only = error instanceof UpstreamUnreachableError && error.failures.length === 1 ? error.failures[0] : undefined;
  return only?.cause ?? causeOf(error);
}
