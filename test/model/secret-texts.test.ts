import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretTexts, withoutSecrets } from '../../src/model/resolved-stream.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { DEFAULT_STREAM_OPTIONS } from '../../src/model/stream-options.ts';

// What a receiver repeats of a stream's credentials is not shown, in whole or in part.

const hidden = secretTexts({
  secrets: {
    authHeader: { values: [new SecretValue('X-Api-Key: key-4711')], problem: null },
    basicAuth: { values: [new SecretValue('ann:pass-4711')], problem: null },
    signingSecret: { values: [new SecretValue('whsec_c2lnbmluZw==')], problem: null },
    bearerToken: { values: [new SecretValue('token-4711')], problem: null },
  },
  options: { ...DEFAULT_STREAM_OPTIONS, headers: { 'X-Own': 'own-4711', 'X-Short': 'abc' } },
  destination: { kind: 'webhook', url: 'https://h/hook?t=query-4711' },
});

const cases: [string, string][] = [
  ['Bearer token-4711 is odd', 'Bearer *** is odd'],
  ['X-Api-Key: key-4711', '***'],
  ['{"key":"key-4711"}', '{"key":"***"}'],
  ['wrong password pass-4711', 'wrong password ***'],
  [`Basic ${Buffer.from('ann:pass-4711').toString('base64')}`, 'Basic ***'],
  ['secret c2lnbmluZw==', 'secret ***'],
  ['own-4711, query-4711', '***, ***'],
  ['an answer that was cut at token-47', 'an answer that was cut at ***'],
  ['abc and nothing else', 'abc and nothing else'],
];

for (const [said, shown] of cases) {
  test(`shown as ${shown}`, () => assert.equal(withoutSecrets(said, hidden), shown));
}
