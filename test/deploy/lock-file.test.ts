import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');

interface Locked {
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly gypfile?: boolean;
}

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Readonly<Record<string, Locked>>;
};
const locked = Object.entries(packages).filter(([path]) => path !== '');

test('the lock file names no registry', () => {
  assert.ok(locked.length > 100);
  assert.deepEqual(
    locked.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path),
    [],
  );
});

// `npm ci` builds what has a binding.gyp and no script of its own, unless the lock file has `"gypfile": false`, whatever the
// package itself says: with a compiler and Node's headers, which not everybody has. `npm install` leaves the line out.
test('npm ci compiles nothing', () => {
  const built = locked.filter(
    ([path, { hasInstallScript, gypfile }]) =>
      existsSync(join(root, path, 'binding.gyp')) && hasInstallScript !== true && gypfile !== false,
  );
  assert.deepEqual(
    built.map(([path]) => path),
    [],
    'add "gypfile": false to its entry, where the package brings its binaries',
  );
  assert.ok(existsSync(join(root, 'node_modules', 'better-sqlite3', 'binding.gyp')), 'there is such a package');
});
