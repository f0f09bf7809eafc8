import { rmSync } from 'node:fs';
import { silentLogger } from '../base/logger.ts';
import { DataDirectory } from '../catalog/data-directory.ts';
import { readKey, SECRET_KEY_FILE, SecretKeyError } from '../catalog/secret-key.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { ROTATE_OPTIONS } from '../config/options.ts';
import { openCatalog } from './open-catalog.ts';

interface NewKey {
  readonly newSecretKey: Buffer | null;
  readonly newSecretKeyFile: string;
}

/**
 * `walhook rotate-secret-key`: encrypts the stored secrets under another key, while walhook does not run. The old key is
 * the one that `serve` was given, or the data directory's own, which goes once it is of no use.
 */
export async function rotateSecretKeyCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(ROTATE_OPTIONS, args, process.env);
  if (rest.length > 0) throw new ConfigError(rest.map((word) => `"${word}" is no option of rotate-secret-key`));
  const directory = DataDirectory.open(values.dataDir);
  try {
    const newKey = newKeyOf(values);
    const catalog = openCatalog(values, directory, silentLogger);
    try {
      catalog.rotateKey(newKey);
    } finally {
      catalog.close();
    }
    const given = values.secretKey !== null || values.secretKeyFile !== '';
    if (!given) rmSync(directory.file(SECRET_KEY_FILE), { force: true });
  } finally {
    directory.close();
  }
  process.stdout.write('The secrets are encrypted with the new key. Start walhook with it from now on.\n');
  return 0;
}

function newKeyOf({ newSecretKey, newSecretKeyFile }: NewKey): Buffer {
  if ((newSecretKey === null) === (newSecretKeyFile === '')) {
    throw new SecretKeyError('give the new key: either --new-secret-key or --new-secret-key-file');
  }
  return newSecretKey ?? readKey(newSecretKeyFile);
}
