import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Catalog, type CatalogParts } from '../../src/catalog/catalog.ts';
import { temporaryFolder } from './test-database.ts';

export const TEST_KEY = Buffer.alloc(32, 7);

/** A catalog of its own, or the one at `path`, with what the test gives of its parts. */
export function openTestCatalog(
  parts: Partial<CatalogParts> = {},
  path: string = join(temporaryFolder(), 'catalog.db'),
): { catalog: Catalog; path: string } {
  const catalog = Catalog.open(path, {
    clock: systemClock,
    random: systemRandom,
    secretKey: () => TEST_KEY,
    secretSources: {
      variable: () => undefined,
      file: () => {
        throw new Error('there are no files');
      },
    },
    ...parts,
  });
  return { catalog, path };
}
