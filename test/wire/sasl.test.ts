import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeSaslInitialResponse, decodeSaslMechanisms, encodeSaslMechanisms } from '../../src/wire/sasl.ts';
import { saslInitialResponse } from '../support/sasl.ts';

test('the mechanisms are laid out as the manual has them, and read as they are written', () => {
  const message = encodeSaslMechanisms(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']);
  assert.equal(message.toString('latin1'), 'R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');
  assert.deepEqual(decodeSaslMechanisms(message), ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']);
  assert.deepEqual(decodeSaslMechanisms(encodeSaslMechanisms([])), []);
  assert.throws(() => decodeSaslMechanisms(message.subarray(0, -1)), { code: '08P01' });
});

const responses: [string | null, string | null][] = [
  ['n,,n=,r=abc', 'n'],
  ['y,,n=,r=abc', 'y'],
  ['p=tls-server-end-point,,n=,r=abc', 'p'],
  ['n', null],
  ['yes,,', null],
  ['p,,', null],
  ['', null],
  [null, null],
];
for (const [response, flag] of responses) {
  test(`the flag of the first response ${JSON.stringify(response)} is ${flag}`, () => {
    const message = saslInitialResponse('SCRAM-SHA-256', response);
    assert.deepEqual(decodeSaslInitialResponse(message), { mechanism: 'SCRAM-SHA-256', channelBinding: flag });
  });
}

test('a first response that is not laid out so is a protocol violation', () => {
  const message = saslInitialResponse('SCRAM-SHA-256', 'n,,');
  for (const wrong of [message.subarray(0, -1), Buffer.concat([message, Buffer.of(0)]), message.subarray(0, 10)]) {
    assert.throws(() => decodeSaslInitialResponse(wrong), { code: '08P01' });
  }
});
