import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/**
 * Signs as Standard Webhooks has it: HMAC-SHA256 of `id.timestamp.body`, the body's bytes as they are before compression. A
 * signature for each key, so that receivers with the secret before, and with the one after a change, both verify.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
 */
export class Signer {
  readonly #keys: readonly KeyObject[];

  /** The newest key first. */
  constructor(keys: readonly Buffer[]) {
    this.#keys = keys.map((key) => createSecretKey(key));
  }

  /** The value of `webhook-signature`; `timestamp` is in seconds since 1970. */
  sign(id: string, timestamp: string, body: Buffer): string {
    const head = `${id}.${timestamp}.`;
    let signatures = '';
    for (const key of this.#keys) {
      const digest = createHmac('sha256', key).update(head).update(body).digest('base64');
      signatures += signatures === '' ? `v1,${digest}` : ` v1,${digest}`;
    }
    return signatures;
  }
}
