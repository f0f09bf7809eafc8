import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { systemRandom } from '../base/random.ts';
import { Catalog } from '../catalog/catalog.ts';
import type { DataDirectory } from '../catalog/data-directory.ts';
import { loadSecretKey, SECRET_KEY_FILE } from '../catalog/secret-key.ts';
import { secretSources } from '../catalog/secrets.ts';
import { adoptFiles } from '../log/database-folder.ts';
import type { ServeConfig } from '../config/options.ts';

/** The catalog's file in the data directory. */
export const CATALOG_FILE = 'catalog.db';

/**
 * Opens the catalog with the key that the configuration gives, and brings the data directory to this version. Throws
 * `SecretKeyError`.
 */
export function openCatalog(
  { secretKey, secretKeyFile }: Pick<ServeConfig, 'secretKey' | 'secretKeyFile'>,
  directory: DataDirectory,
  logger: Logger,
): Catalog {
  const given = { key: secretKey, file: secretKeyFile };
  const catalog = Catalog.open(directory.file(CATALOG_FILE), {
    clock: systemClock,
    random: systemRandom,
    secretKey: (isFirst) => loadSecretKey(given, directory.file(SECRET_KEY_FILE), isFirst, systemRandom, logger),
    secretSources: secretSources(process.env, directory.path),
  });
  adoptFiles(directory.path, catalog.onlySlotName());
  return catalog;
}
