import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;

/** One entry of WALHOOK_EGRESS_ALLOW. */
export type EgressRule =
  | { readonly kind: 'network'; readonly address: Address; readonly prefix: number; readonly single: boolean }
  | { readonly kind: 'host'; readonly name: string };

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * Reads entries of WALHOOK_EGRESS_ALLOW: an address (`127.0.0.1`, `::1`), a network in CIDR notation (`10.0.0.0/8`), or a host
 * name (`hooks.internal`), which allows whatever it resolves to. Throws `EgressRuleError` that names the entry.
 */
export function parseEgressAllow(entries: readonly string[]): readonly EgressRule[] {
  return entries
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '')
    .map(parseRule);
}

function parseRule(entry: string): EgressRule {
  const slash = entry.lastIndexOf('/');
  const host = slash === -1 ? entry : entry.slice(0, slash);
  const plain = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  const family = isIP(plain);
  if (family === 0) {
    if (slash !== -1)
      throw new EgressRuleError(`"${entry}" is no network: there must be an IP address before the slash`);
    if (/^[0-9.]+$/.test(plain)) throw new EgressRuleError(`"${entry}" is no IP address`);
    const name = plain.replace(/\.$/, '');
    if (!HOST_NAME.test(name)) throw new EgressRuleError(`"${entry}" is no IP address, network or host name`);
    return { kind: 'host', name };
  }
  const bits = family === 4 ? 32 : 128;
  const prefixText = slash === -1 ? String(bits) : entry.slice(slash + 1);
  const prefix = Number(prefixText);
  if (!/^\d{1,3}$/.test(prefixText) || prefix > bits) {
    throw new EgressRuleError(`"${entry}" is no network: the prefix must be a whole number from 0 to ${bits}`);
  }
  return { kind: 'network', address: ipaddr.parse(plain), prefix, single: prefix === bits };
}

/** An entry of WALHOOK_EGRESS_ALLOW that is none. The message says which and why. */
export class EgressRuleError extends Error {
  override readonly name = 'EgressRuleError';
}

/** The address of a destination is not one that may be called. The message names the setting that would allow it. */
export class EgressBlockedError extends Error {
  override readonly name = 'EgressBlockedError';
}

/**
 * Which addresses may be called. By default only public unicast ones. The links' own addresses and those where clouds keep
 * their metadata are allowed only by an entry that is that one address: no network and no host name includes them.
 */
export class AddressGuard {
  readonly #networks: readonly (EgressRule & { kind: 'network' })[];
  readonly #hosts: ReadonlySet<string>;

  constructor(rules: readonly EgressRule[]) {
    this.#networks = rules.filter((rule) => rule.kind === 'network');
    this.#hosts = new Set(rules.flatMap((rule) => (rule.kind === 'host' ? [rule.name] : [])));
  }

  /** Throws `EgressBlockedError` unless `address`, to which `host` led, may be called. */
  check(host: string, address: string): void {
    const parsed = parseAddress(address);
    if (parsed !== null && this.#allows(host, parsed)) return;
    const of = host === address ? '' : ` of ${host}`;
    throw new EgressBlockedError(
      `the address ${address}${of} is not public; to allow it, add it to --egress-allow (WALHOOK_EGRESS_ALLOW)`,
    );
  }

  #allows(host: string, address: Address): boolean {
    if (isMetadata(address)) return this.#networks.some((rule) => rule.single && includes(rule, address));
    if (isPublic(address)) return true;
    if (this.#hosts.has(host.toLowerCase().replace(/\.$/, ''))) return true;
    return this.#networks.some((rule) => includes(rule, address));
  }
}

/** IPv4 that is written as IPv6 is judged as the IPv4 that it is. */
function parseAddress(text: string): Address | null {
  const plain = text.replace(/%.*$/, '');
  return isIP(plain) === 0 ? null : ipaddr.process(plain);
}

function includes(rule: EgressRule & { kind: 'network' }, address: Address): boolean {
  return includesIn(rule.address, rule.prefix, address);
}

const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3');

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  // ipaddr.js takes all of IPv6 that has no other name for unicast, ::/96 (IPv4 in disguise) among it.
  return address.kind() === 'ipv4' || address.match(GLOBAL_UNICAST);
}

/*
  Where clouds keep their metadata, and links their own addresses: AWS, Google, Azure, Alibaba, Oracle. An IPv6 address that
  carries an IPv4 address (NAT64, 6to4, the two old forms) leads to that one where somebody translates.
*/
const METADATA = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::/32',
  'fd20:ce::254/128',
  '168.63.129.16/32',
  '100.100.100.200/32',
  '192.0.0.192/32',
].map((cidr) => ipaddr.parseCIDR(cidr));

/** At which of the address's bytes the IPv4 address stands (RFC 6052, 2.2; RFC 8215; RFC 3056). */
const CARRIERS: readonly (readonly [network: Address, prefix: number, bytes: readonly number[]])[] = (
  [
    ['64:ff9b::/96', [12, 13, 14, 15]],
    ['64:ff9b:1::/48', [12, 13, 14, 15]],
    ['64:ff9b:1::/48', [6, 7, 9, 10]],
    ['::ffff:0:0:0/96', [12, 13, 14, 15]],
    ['::/96', [12, 13, 14, 15]],
    ['2002::/16', [2, 3, 4, 5]],
  ] as const
).map(([cidr, bytes]) => [...ipaddr.parseCIDR(cidr), bytes]);

function isMetadata(address: Address): boolean {
  const isOne = METADATA.some(([network, prefix]) => includesIn(network, prefix, address));
  return isOne || (address.kind() === 'ipv6' && carriedBy(address).some(isMetadata));
}

function carriedBy(address: Address): readonly Address[] {
  const all = address.toByteArray();
  return CARRIERS.flatMap(([network, prefix, bytes]) =>
    includesIn(network, prefix, address) ? [ipaddr.fromByteArray(bytes.map((at) => all[at]!))] : [],
  );
}

function includesIn(network: Address, prefix: number, address: Address): boolean {
  return network.kind() === address.kind() && address.match(network, prefix);
}
