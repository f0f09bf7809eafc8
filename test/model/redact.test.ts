import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactUrl } from '../../src/model/redact.ts';

const cases: [string, string][] = [
  ['https://hooks.example/in', 'https://hooks.example/in'],
  ['https://user:secret@hooks.example/in', 'https://hooks.example/in'],
  ['https://hooks.example/in?token=secret&v=1', 'https://hooks.example/in?token=***&v=***'],
  ['https://hooks.example/in?secret', 'https://hooks.example/in?secret=***'],
  ['https://hooks.example/in#secret', 'https://hooks.example/in'],
  ['no URL with a secret', '<invalid URL>'],
];
for (const [url, shown] of cases) {
  test(`${url} is shown as ${shown}`, () => assert.equal(redactUrl(url), shown));
}
