import { after } from 'node:test';
import { brotliDecompressSync, zstdDecompressSync } from 'node:zlib';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { BATCH, send, sinkFor, withSecrets } from '../support/webhook-sinks.ts';

const OLD = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const NEW = 'typed by somebody: größer';
const REFUSED = 'not signed with one of these secrets';

/** As a program that verifies them reads it. */
export interface SignedRequest {
  readonly headers: Readonly<Record<string, string>>;
  /** Base64 of the body as it was signed, but for gzip, which the others unpack. */
  readonly body: string;
  readonly secrets: readonly string[];
}

/** Requests as lines of JSON, a `SignedRequest` each, and what must come of each: `ok`, or what is wrong with it. */
export async function signedRequests(): Promise<{ input: string; expected: string[] }> {
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
