import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { KEY_BYTES, parseKeyText } from '../base/key-text.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';

/** The key of the stored secrets is missing, malformed, or another one than they were encrypted with. */
export class SecretKeyError extends Error {
  override readonly name = 'SecretKeyError';
}

/** The file in the data directory that holds the key when the operator gives none. */
export const SECRET_KEY_FILE = 'secret.key';

/** What the operator said of the key; at most one of the two. */
export interface SecretKeyOptions {
  readonly key: Buffer | null;
  /** A file with the key in base64; empty: none. */
  readonly file: string;
}

/**
 * The key that the operator gave; otherwise the one in the data directory, made there (mode 0600) where there is none
 * and `mayMake` says that nothing was encrypted yet. Throws `SecretKeyError`.
 */
export function loadSecretKey(
  { key, file }: SecretKeyOptions,
  generatedFile: string,
  mayMake: boolean,
  random: Random,
  logger: Logger,
): Buffer {
  if (key !== null && file !== '') throw new SecretKeyError('give --secret-key or --secret-key-file, not both');
  if (key !== null) return key;
  if (file !== '') return readKey(file);
  const made = mayMake ? makeKey(generatedFile, random) : null;
  if (made === null) return readKey(generatedFile);
  logger.warn(
    { file: generatedFile },
    'no key for secrets was given: one was made in the data directory. Whoever has a copy of that directory can read the secrets in it, and without the file nobody can; give WALHOOK_SECRET_KEY to keep the two apart',
  );
  return made;
}

/** Reads a key file. Throws `SecretKeyError`. */
export function readKey(file: string): Buffer {
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new Error('it may be read by others; run: chmod 600 on it');
    }
    return parseKeyText(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new SecretKeyError(`the key file ${file} cannot be used: ${(error as Error).message}`);
  }
}

/** Null where the file is there already. Durable before it is used: a secret whose key is lost is lost. */
function makeKey(file: string, random: Random): Buffer | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST') return null;
    throw error;
  }
  try {
    const key = Buffer.from(random.bytes(KEY_BYTES));
    writeSync(descriptor, `${key.toString('base64')}\n`);
    fsyncSync(descriptor);
    return key;
  } finally {
    closeSync(descriptor);
  }
}
