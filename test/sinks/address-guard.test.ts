import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressGuard, EgressBlockedError, EgressRuleError, parseEgressAllow } from '../../src/sinks/address-guard.ts';

// By default only public unicast addresses; metadata addresses only by an entry that is that address.

function allowed(address: string, allow: readonly string[] = [], host = address): boolean {
  try {
    new AddressGuard(parseEgressAllow(allow)).check(host, address);
    return true;
  } catch (error) {
    assert.ok(error instanceof EgressBlockedError);
    assert.match(error.message, /WALHOOK_EGRESS_ALLOW/);
    return false;
  }
}

const PUBLIC = ['8.8.8.8', '93.184.215.14', '2606:4700::1111', '2a00:1450:4001:81b::200e'];
const NOT_PUBLIC = [
  '0.0.0.0',
  '10.0.0.1',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '192.0.0.1',
  '192.0.2.1',
  '192.168.0.1',
  '198.18.0.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:169.254.169.254',
  '64:ff9b::7f00:1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  'not an address',
];

test('public unicast addresses are allowed, all others are not', () => {
  for (const address of PUBLIC) assert.equal(allowed(address), true, address);
  for (const address of NOT_PUBLIC) assert.equal(allowed(address), false, address);
});

const LISTED: readonly (readonly [allow: string, address: string, host: string, expected: boolean])[] = [
  ['127.0.0.1', '127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:127.0.0.1', true],
  ['127.0.0.1', '127.0.0.2', '127.0.0.2', false],
  ['10.0.0.0/8', '10.1.2.3', 'hooks.internal', true],
  ['10.0.0.0/8', '11.1.2.3', 'hooks.internal', true],
  ['10.0.0.0/8', '192.168.1.1', 'hooks.internal', false],
  ['::1', '::1', '::1', true],
  ['[::1]', '::1', '::1', true],
  ['fd00::/8', 'fd12::1', 'x', true],
  ['hooks.internal', '10.1.2.3', 'hooks.internal', true],
  ['Hooks.Internal.', '10.1.2.3', 'HOOKS.internal.', true],
  ['hooks.internal', '10.1.2.3', 'other.internal', false],
  ['localhost', '127.0.0.1', 'localhost', true],
  ['0.0.0.0/0', '169.254.169.254', 'x', false],
  ['169.254.0.0/16', '169.254.169.254', 'x', false],
  ['metadata', '169.254.169.254', 'metadata', false],
  ['169.254.169.254', '169.254.169.254', 'metadata', true],
  ['169.254.169.254/32', '169.254.169.254', 'metadata', true],
  ['::/0', 'fd00:ec2::254', 'x', false],
  ['fd00:ec2::254', 'fd00:ec2::254', 'x', true],
  ['fe80::/10', 'fe80::1', 'x', false],
  ['168.63.129.16', '168.63.129.16', 'x', true],
  ['100.64.0.0/10', '100.100.100.200', 'x', false],
  ['100.64.0.0/10', '100.100.100.201', 'x', true],
  ['192.0.0.0/24', '192.0.0.192', 'x', false],
  ['fd00::/8', 'fd20:ce::254', 'x', false],
  // IPv4 inside IPv6: NAT64 (RFC 6052, 8215), 6to4, IPv4-translated, IPv4-compatible, IPv4-mapped.
  ['::/0', '64:ff9b::a9fe:a9fe', 'x', false],
  ['::/0', '64:ff9b:1::a9fe:a9fe', 'x', false],
  ['::/0', '64:ff9b:1:a9fe:a9:fe00::', 'x', false],
  ['::/0', '2002:a9fe:a9fe::1', 'x', false],
  ['::/0', '::ffff:0:a9fe:a9fe', 'x', false],
  ['::/0', '::a9fe:a9fe', 'x', false],
  ['::/0', '::ffff:a9fe:a9fe', 'x', false],
  ['::/0', '64:ff9b::808:808', 'x', true],
  ['64:ff9b::/96', '64:ff9b::a00:1', 'x', true],
  ['64:ff9b::a9fe:a9fe', '64:ff9b::a9fe:a9fe', 'x', true],
  ['hooks.internal', '64:ff9b::a83f:8110', 'hooks.internal', false],
];

test('entries of the allow list add addresses, networks and host names, but no metadata address by the way', () => {
  for (const [allow, address, host, expected] of LISTED) {
    assert.equal(allowed(address, [allow], host), expected, `${allow} and ${address} of ${host}`);
  }
});

test('an entry that is none is refused by name', () => {
  for (const entry of [
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.256',
    '::1/129',
    'a b',
    'http://x',
    'x/8',
    '10.0.0.0/',
    '-x.y',
    'a..b',
  ]) {
    assert.throws(
      () => parseEgressAllow([entry]),
      (error) => error instanceof EgressRuleError && error.message.includes(`"${entry}"`),
      entry,
    );
  }
});

test('empty entries are nothing', () => assert.deepEqual(parseEgressAllow(['', '  ']), []));
