import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { brotliDecompressSync, zstdDecompressSync } from 'node:zlib';
import { succeed } from '../support/programs.ts';
import { readmeExample } from '../support/readme.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, send, sinkFor, withSecrets } from '../support/webhook-sinks.ts';

// Signatures are verified by what README.md shows in other languages, whatever the body was compressed with.

const HERE = import.meta.dirname;
const OLD = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const NEW = 'typed by somebody: größer';
const REFUSED = 'not signed with one of these secrets';

/** Requests as lines of JSON, and what must come of each. */
async function requests(): Promise<{ input: string; expected: string[] }> {
  const at = await WebhookReceiver.start();
  after(() => at.stop());
  const body = Buffer.from(JSON.stringify([{ note: 'größer 😀 '.repeat(500) }]));
  const lines: string[] = [];
  const expected: string[] = [];
  for (const compression of ['none', 'gzip', 'br', 'zstd'] as const) {
    await send(sinkFor(at.url(), withSecrets({ signingSecret: [NEW, OLD] }, { compression })), { ...BATCH, body });
    const { headers, body: sent } = at.requests.at(-1)!;
    // The languages' own libraries have no br and no zstd.
    const unpacked =
      compression === 'br' ? brotliDecompressSync(sent) : compression === 'zstd' ? zstdDecompressSync(sent) : sent;
    const line = (changes: object, bytes = unpacked, secrets = [OLD]): void =>
      void lines.push(JSON.stringify({ headers: { ...headers, ...changes }, body: bytes.toString('base64'), secrets }));
    line({});
    line({}, unpacked, ['another', NEW]);
    line({}, unpacked, ['another']);
    line({ 'webhook-id': 'x' });
    line({ 'webhook-signature': 'v1,größer v1,' });
    expected.push('ok', 'ok', REFUSED, REFUSED, REFUSED);
  }
  const clock = {
    now: () => Date.now() - 3_600_000,
    monotonicMs: () => 0,
    after: () => () => undefined,
    sleep: () => Promise.resolve(),
  };
  await send(sinkFor(at.url(), { ...withSecrets({ signingSecret: OLD }), clock }), { ...BATCH, body });
  const { headers } = at.requests.at(-1)!;
  lines.push(JSON.stringify({ headers, body: body.toString('base64'), secrets: [OLD] }));
  expected.push('signed too long ago, or in the future');
  return { input: `${lines.join('\n')}\n`, expected };
}

test('Python', async () => {
  const { input, expected } = await requests();
  const program = `${readmeExample('verify.py')}\n\n${readFileSync(join(HERE, 'verify_main.py'), 'utf8')}`;
  const output = await succeed('/usr/bin/python3', ['-c', program], { input });
  assert.deepEqual(output.trimEnd().split('\n'), expected);
});

test('Go', async () => {
  const { input, expected } = await requests();
  const folder = temporaryFolder();
  cpSync(join(HERE, 'go'), folder, { recursive: true });
  const packages = [
    'crypto/hmac',
    'crypto/sha256',
    'encoding/base64',
    'errors',
    'net/http',
    'strconv',
    'strings',
    'time',
  ];
  const imports = packages.map((name) => `\t"${name}"\n`).join('');
  writeFileSync(join(folder, 'verify.go'), `package main\n\nimport (\n${imports})\n\n${readmeExample('verify.go')}`);
  const PATH = `${process.env.PATH}:/usr/local/go/bin`;
  const env = { PATH, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', GOPROXY: 'off' };
  const output = await succeed('go', ['run', '.'], { input, cwd: folder, env });
  assert.deepEqual(output.trimEnd().split('\n'), expected);
});
