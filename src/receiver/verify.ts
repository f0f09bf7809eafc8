import { createHmac, timingSafeEqual } from 'node:crypto';
import { headerOf, type RequestHeaders } from './headers.ts';
import { type NativeEvent, readEvents } from './native-event.ts';
import { WebhookError } from './webhook-error.ts';

export interface VerifyOptions {
  /** How far `webhook-timestamp` may be from now, in either direction; `Infinity`: it does not matter. 300 by default. */
  readonly toleranceSeconds?: number;
  /** Now, in milliseconds since 1970. */
  readonly nowMs?: number;
}

const TOLERANCE_SECONDS = 300;
/** A request is signed with each secret that is valid, of which there are eight at most. */
const MAX_SIGNATURES = 32;

/**
 * Verifies a request by Standard Webhooks and gives its events. `body` is what was signed: as it was received, unpacked
 * where it was compressed (`readBody` does that), and never parsed and printed again. `secrets`: those that are valid,
 * each as it was given to walhook, `whsec_…` or any other text. Throws `WebhookError` (`missing_header`, `invalid_signature`,
 * `stale`), and `SyntaxError` where the body is no JSON.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function verify<Event = NativeEvent>(
  body: string | Uint8Array,
  headers: RequestHeaders,
  secrets: string | readonly string[],
  { toleranceSeconds = TOLERANCE_SECONDS, nowMs = Date.now() }: VerifyOptions = {},
): readonly Event[] {
  const id = required(headers, 'webhook-id');
  const timestamp = required(headers, 'webhook-timestamp');
  const signatures = required(headers, 'webhook-signature').split(' ', MAX_SIGNATURES);
  const keys = [secrets].flat().map(keyOf);
  if (!keys.some((key) => isSignedWith(key, `${id}.${timestamp}.`, body, signatures))) {
    throw new WebhookError('invalid_signature', 'no signature of the request is of one of the secrets');
  }
  // Asked last: who cannot sign learns nothing of what is tolerated.
  const ageSeconds = Math.abs(nowMs / 1000 - (/^\d{1,15}$/.test(timestamp) ? Number(timestamp) : NaN));
  if (!(ageSeconds <= toleranceSeconds)) {
    throw new WebhookError('stale', `the request was not signed within ${toleranceSeconds} seconds of now`);
  }
  return readEvents<Event>(body);
}

function required(headers: RequestHeaders, name: string): string {
  const value = headerOf(headers, name);
  if (value !== null && value !== '') return value;
  throw new WebhookError('missing_header', `the request has no ${name}`);
}

const PREFIX = 'whsec_';

function keyOf(secret: string): Buffer {
  const key = secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret);
  // With an empty key anybody can sign.
  if (key.length === 0) throw new TypeError('a secret is empty');
  return key;
}

function isSignedWith(key: Buffer, head: string, body: string | Uint8Array, signatures: readonly string[]): boolean {
  const expected = createHmac('sha256', key).update(head).update(body).digest();
  let found = false;
  for (const signature of signatures) {
    if (!signature.startsWith('v1,')) continue;
    const given = Buffer.from(signature.slice('v1,'.length), 'base64');
    if (given.length === expected.length && timingSafeEqual(given, expected)) found = true;
  }
  return found;
}
