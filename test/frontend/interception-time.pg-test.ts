import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { startPair } from './proxy.ts';

const { server, proxy } = await startPair();

test('the time for which messages are held up counts what is answered here, and nothing else', async () => {
  const client = await connect(proxy.url(server.url()));
  await client.query('SELECT 1');
  assert.equal(proxy.frontend.stats().interceptionMsTotal, 0);
  await client.query('SHOW CDC STREAMS');
  const once = proxy.frontend.stats().interceptionMsTotal;
  assert.ok(once > 0);
  await client.query('SELECT $1::text', ['CDC']);
  assert.equal(proxy.frontend.stats().interceptionMsTotal, once);
  await client.end();
});
