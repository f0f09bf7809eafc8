import { isIPv4, isIPv6 } from 'node:net';

/** The most addresses that are remembered at a time. Whoever came longest ago is forgotten first. */
export const MAX_ADDRESSES = 65_536;

export interface RateLimits {
  /** What an address may go on doing, in times a second. */
  readonly perSecond: number;
  /** What it may do at once after a rest. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket for each client address. An IPv6 network of 64 bits is one address: it belongs to one client. */
export class AddressRate {
  readonly #limits: RateLimits;
  readonly #maxAddresses: number;
  /** In the order of the last time. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits, maxAddresses = MAX_ADDRESSES) {
    this.#limits = limits;
    this.#maxAddresses = maxAddresses;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether the address may do it now (connect, say), which counts as doing so. */
  admits(address: string, nowMs: number): boolean {
    const key = addressKey(address);
    const { perSecond, burst } = this.#limits;
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * perSecond);
    bucket.atMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxAddresses) this.#forgetOldest();
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #forgetOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}

/** What addresses of one client have in common: the IPv4 address, however written, or the first 64 bits of an IPv6 one. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1]!;
  if (isIPv4(address) || !isIPv6(address)) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: missing }, () => '0'), ...right];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
