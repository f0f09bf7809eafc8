import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inForce, reloaded, type NextConfig } from '../../src/cli/reload.ts';
import { loadOptions } from '../../src/config/load.ts';
import { SERVE_OPTIONS } from '../../src/config/options.ts';

// The law: what reloads is in force when it has been read; what does not keeps its value, and says so until it is the old one again.

const load = (...args: string[]): NextConfig =>
  loadOptions(SERVE_OPTIONS, ['--upstream', 'postgres://u:one@h/d', ...args], {});

test('what reloads changes, what does not waits for a restart, and both are named', () => {
  const first = load('--max-clients', '7');
  const settings = first.settings.map(inForce);
  const next = load('--max-clients', '8', '--egress-allow', '10.0.0.0/8', '--listen', ':1', '--log-format', 'json');
  const then = reloaded(first.values, settings, next);
  assert.deepEqual(then.changed, ['max-clients', 'egress-allow']);
  assert.deepEqual(then.pendingRestart, ['listen', 'log-format']);
  assert.deepEqual([then.values.maxClients, then.values.egressAllow], [8, ['10.0.0.0/8']]);
  assert.deepEqual([then.values.listen, then.values.logFormat], [first.values.listen, 'auto']);
  const shown = new Map(then.settings.map((setting) => [setting.name, setting]));
  assert.deepEqual([shown.get('max-clients')?.value, shown.get('max-clients')?.isPendingRestart], ['8', false]);
  assert.deepEqual([shown.get('listen')?.value, shown.get('listen')?.isPendingRestart], ['127.0.0.1:7432', true]);
  // Back again: nothing waits.
  const back = reloaded(then.values, then.settings, first);
  assert.deepEqual([back.changed, back.pendingRestart], [['max-clients', 'egress-allow'], []]);
  assert.deepEqual(back.settings, settings);
  assert.deepEqual(back.values, first.values);
});

test('a secret that differs is named, and not shown', () => {
  const first = load('--secret-key', Buffer.alloc(32, 1).toString('base64'), '--console-token', 'one token of sixteen');
  const args = ['--secret-key', Buffer.alloc(32, 2).toString('base64'), '--console-token', 'another of sixteen'];
  const next = loadOptions(SERVE_OPTIONS, ['--upstream', 'postgres://u:two@h/d', ...args], {});
  const then = reloaded(first.values, first.settings.map(inForce), next);
  assert.deepEqual(then.changed, ['console-token']);
  assert.deepEqual(then.pendingRestart, ['upstream', 'secret-key']);
  assert.equal(then.values.upstream, first.values.upstream);
  assert.doesNotMatch(JSON.stringify(then.settings), /one token|another of|:two@/);
});
