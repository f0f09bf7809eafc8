import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/*
  The client's half of SCRAM, without channel binding. https://www.rfc-editor.org/rfc/rfc5802#section-3 and RFC 7677.

    client-first  n,,n=user,r=nonce
    server-first  r=nonce…,s=salt,i=iterations
    client-final  c=biws,r=nonce…,p=proof
    server-final  v=signature, or e=error
*/

export type ScramHash = 'sha256' | 'sha512';

const HASH_BYTES: Readonly<Record<ScramHash, number>> = { sha256: 32, sha512: 64 };
/** Fewer are no protection (RFC 7677, 4). */
const MIN_ITERATIONS = 4_096;
/** A server that asks for more wants our time. */
const MAX_ITERATIONS = 1_000_000;
const GS2_HEADER = 'n,,';

/** What the server says is not what the protocol has, or it does not know the password either. Shows nothing of it. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
}

const derive = promisify(pbkdf2);

/** One log-in. */
export class ScramClient {
  readonly #hash: ScramHash;
  readonly #password: string;
  readonly #nonce: string;
  readonly #firstBare: string;
  #serverSignature: Buffer | null = null;

  /** `nonce`: printable ASCII without a comma, never used before. */
  constructor(hash: ScramHash, user: string, password: string, nonce: string) {
    this.#hash = hash;
    this.#password = password;
    this.#nonce = nonce;
    this.#firstBare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  }

  first(): Buffer {
    return Buffer.from(GS2_HEADER + this.#firstBare, 'utf8');
  }

  async final(serverFirst: Buffer): Promise<Buffer> {
    const text = serverFirst.toString('utf8');
    const [, nonce, salt, iterationsText] = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,9})(?:,|$)/.exec(text) ?? [];
    if (nonce === undefined || salt === undefined) throw new ScramError('the challenge is not one of SCRAM');
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce) throw new ScramError('the challenge is not ours');
    const iterations = Number(iterationsText);
    if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
      throw new ScramError(`the broker asks for ${iterations} iterations`);
    }
    const salted = await derive(
      this.#password.normalize('NFKC'),
      Buffer.from(salt, 'base64'),
      iterations,
      HASH_BYTES[this.#hash],
      this.#hash,
    );
    const withoutProof = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${nonce}`;
    const said = `${this.#firstBare},${text},${withoutProof}`;
    const clientKey = this.#hmac(salted, 'Client Key');
    const storedKey = createHash(this.#hash).update(clientKey).digest();
    const signature = this.#hmac(storedKey, said);
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
    this.#serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), said);
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`, 'utf8');
  }

  /** Throws `ScramError` unless the server has proved that it knows the password, too. */
  verify(serverFinal: Buffer): void {
    const [, signature] = /^v=([A-Za-z0-9+/=]+)(?:,|$)/.exec(serverFinal.toString('utf8')) ?? [];
    const given = Buffer.from(signature ?? '', 'base64');
    const expected = this.#serverSignature;
    if (expected === null || given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new ScramError('the broker has not proved that it knows the password');
    }
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest();
  }
}
