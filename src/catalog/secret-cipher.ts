import { createCipheriv, createDecipheriv } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { KEY_BYTES } from '../base/key-text.ts';
import type { Random } from '../base/random.ts';
import { SecretValue } from '../model/secret.ts';

/** A sealed value does not open: it was sealed under another key, for another place, or has been changed. */
export class SecretUnreadableError extends Error {
  override readonly name = 'SecretUnreadableError';
}

/*
  A sealed value: format (1 byte) | nonce (12) | ciphertext | tag (16), in base64.
  AES-256-GCM as in NIST SP 800-38D; nonces of 96 random bits serve 2^32 values of one key, far beyond any catalog.
*/
const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';

/** Encrypts what the catalog keeps of secrets. `place` is authenticated too: a value moved elsewhere does not open. */
export class SecretCipher {
  readonly #key: Buffer;
  readonly #random: Random;

  constructor(key: Buffer, random: Random) {
    assert(key.length === KEY_BYTES, 'a key of AES-256 has 32 bytes');
    this.#key = key;
    this.#random = random;
  }

  seal(value: SecretValue, place: string): string {
    const nonce = this.#random.bytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(place));
    const body = Buffer.concat([cipher.update(value.reveal()), cipher.final()]);
    return Buffer.concat([Buffer.of(FORMAT), nonce, body, cipher.getAuthTag()]).toString('base64');
  }

  /** Throws `SecretUnreadableError`. */
  open(sealed: string, place: string): SecretValue {
    const bytes = Buffer.from(sealed, 'base64');
    if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== FORMAT) {
      throw new SecretUnreadableError('a stored secret has an unknown format');
    }
    const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    try {
      const body = decipher.update(bytes.subarray(1 + NONCE_BYTES, bytes.length - TAG_BYTES));
      return new SecretValue(Buffer.concat([body, decipher.final()]));
    } catch {
      // What the library says ("unable to authenticate data") names neither the secret nor the cause.
      throw new SecretUnreadableError('a stored secret does not open with this key');
    }
  }
}

/** Where a version of a secret stands. */
export function placeOf(secretId: string, version: number): string {
  return `walhook secret ${secretId} ${version}`;
}
