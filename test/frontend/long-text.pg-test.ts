import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { RawClient, reportsOf, say, statusOf, tagsOf, typesOf } from '../support/raw-client.ts';
import { resetStreams } from './matrix-kinds.ts';
import { startPair } from './proxy.ts';

// Law: a statement of ours in a text of any length is answered, or refused with the reason; a text without one passes.

const { proxy } = await startPair();
const MIB = 1_048_576;
const SHOW = 'SHOW CDC STREAMS';
const HINT = /statements of walhook/i;

beforeEach(() => resetStreams(proxy.streams));

/** A statement of so many bytes. */
const long = (bytes: number, word = 'x'): string => `select length('${word}${'y'.repeat(bytes)}')`;

for (const [what, sql, types] of [
  ['first in a message of 3 MiB', `${SHOW}; ${long(3 * MIB)}`, 'TDDDCTDCZ'],
  ['behind a word of ours, in the second MiB', `select 1 as cdc; ${long(2 * MIB)}; ${SHOW}`, 'TDCTDCTDDDCZ'],
  ['alone behind a comment of 2 MiB with a word of ours', `/* cdc ${'y'.repeat(2 * MIB)} */ ${SHOW}`, 'TDDDCZ'],
] as const) {
  test(`ours is answered: ${what}`, async () => {
    const client = await RawClient.start(proxy.address);
    assert.equal(typesOf(await client.query(sql)), types);
    client.send(say.query(sql), say.query('select 1'));
    assert.equal(typesOf(await client.ready(2)), `${types}TDCZ`);
    client.close();
  });
}

test('ours is answered in a Parse of 2 MiB', async () => {
  const client = await RawClient.start(proxy.address);
  client.send(say.run(`/* cdc ${'y'.repeat(2 * MIB)} */ ${SHOW}`), say.sync());
  assert.equal(typesOf(await client.ready()), '12TDDDCZ');
  client.close();
});

for (const [what, sql] of [
  ['behind 2 MiB', `${long(2 * MIB)}; ${SHOW}`],
  ['over the end of the first MiB', `${' '.repeat(MIB - 5 - 6)}${SHOW}; ${long(2 * MIB)}`],
  ['in a message of 17 MiB', `${SHOW}; ${long(17 * MIB)}`],
] as const) {
  test(`ours is refused with the reason, and nothing runs: ${what}`, async () => {
    const client = await RawClient.start(proxy.address);
    for (const messages of [[say.query(sql)], [say.run(sql), say.sync()]]) {
      client.send(...messages, say.query('selec 1'));
      const answer = await client.ready(2);
      assert.deepEqual([typesOf(answer), statusOf(answer)], ['EZEZ', 'I'], what);
      const [first] = reportsOf(answer);
      assert.equal(first!['C'], '42601');
      assert.match(first!['H'] ?? '', HINT);
      assert.equal(
        reportsOf(await client.query('selec 1'))[0]!['H'],
        undefined,
        'of later errors it is not the reason',
      );
    }
    client.close();
  });
}

test('long texts without a statement of ours pass, whatever words they have', async () => {
  const client = await RawClient.start(proxy.address);
  for (const sql of [long(2 * MIB), long(2 * MIB, ' cdc '), long(18 * MIB, ' change ')]) {
    const answer = await client.query(sql);
    assert.deepEqual([typesOf(answer), tagsOf(answer)], ['TDCZ', ['SELECT 1']]);
    client.send(say.run(sql), say.sync());
    assert.equal(typesOf(await client.ready()), '12TDCZ');
  }
  const wrong = await client.query(`${long(2 * MIB)}; select cdc`);
  assert.deepEqual([reportsOf(wrong)[0]!['C'], reportsOf(wrong)[0]!['H']], ['42703', undefined]);
  client.close();
});
