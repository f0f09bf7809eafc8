import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { UpstreamHost } from './upstream-config.ts';

/** A host that could not be reached is tried after the others for this long. */
const AVOIDED_MS = 30_000;

/**
 * In which order to try the hosts: as the URL has them (or at random), those last that failed lately. When a failure
 * has been forgotten, one caller alone tries that host in its place again, so that no crowd waits for a dead one.
 */
export class HostOrder {
  readonly #hosts: readonly UpstreamHost[];
  readonly #isRandom: boolean;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #avoidedUntilMs = new Map<UpstreamHost, number>();

  constructor(hosts: readonly UpstreamHost[], isRandom: boolean, clock: Clock, random: Random) {
    this.#hosts = hosts;
    this.#isRandom = isRandom;
    this.#clock = clock;
    this.#random = random;
  }

  /** Those of `hosts` (by default: all), in order. */
  next(hosts: readonly UpstreamHost[] = this.#hosts): readonly UpstreamHost[] {
    if (hosts.length < 2) return hosts;
    const nowMs = this.#clock.monotonicMs();
    const avoided = hosts.filter((host) => (this.#avoidedUntilMs.get(host) ?? 0) > nowMs);
    const preferred = hosts.filter((host) => !avoided.includes(host));
    for (const host of preferred) if (this.#avoidedUntilMs.has(host)) this.failed(host);
    return [...this.arrange(preferred), ...avoided];
  }

  /** The addresses of one name, in order. */
  arrange<T>(addresses: readonly T[]): readonly T[] {
    return this.#isRandom ? shuffled(addresses, this.#random) : addresses;
  }

  reached(host: UpstreamHost): void {
    this.#avoidedUntilMs.delete(host);
  }

  failed(host: UpstreamHost): void {
    this.#avoidedUntilMs.set(host, this.#clock.monotonicMs() + AVOIDED_MS);
  }
}

/** Each order equally likely (Fisher–Yates). */
function shuffled<T>(values: readonly T[], random: Random): T[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random.float() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
