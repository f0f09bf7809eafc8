import assert from 'node:assert/strict';
import { readFileSync, globSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';

// The house's borders. The same table, in words, is in src/README.md; type imports count.

const SRC = join(import.meta.dirname, '..', 'src');

const EVERYTHING = ['*'];
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  config: ['base', 'postgres'],
  metrics: ['base'],
  postgres: ['base'],
  model: ['base', 'postgres'],
  wire: ['base', 'postgres'],
  filters: ['base', 'postgres', 'model'],
  sql: ['base', 'postgres', 'model', 'filters'],
  catalog: ['base', 'postgres', 'model'],
  log: ['base', 'postgres', 'model', 'metrics'],
  formats: ['base', 'postgres', 'model'],
  sinks: ['base', 'model', 'metrics'],
  upstream: ['base', 'postgres', 'wire', 'metrics'],
  capture: ['base', 'postgres', 'model', 'upstream', 'log', 'metrics'],
  delivery: ['base', 'postgres', 'model', 'filters', 'log', 'formats', 'sinks', 'metrics'],
  frontend: ['base', 'postgres', 'model', 'wire', 'sql', 'catalog', 'upstream', 'metrics'],
  http: ['base', 'config', 'model', 'catalog', 'metrics'],
  engine: [
    'base',
    'postgres',
    'model',
    'filters',
    'catalog',
    'upstream',
    'capture',
    'log',
    'delivery',
    'formats',
    'sinks',
    'metrics',
  ],
  receiver: [],
  cli: EVERYTHING,
  'main.ts': EVERYTHING,
};

/** Layers that do no I/O and read no clock. */
const PURE = new Set(['wire', 'sql', 'model', 'postgres', 'formats', 'filters']);
const IMPURE_MODULES = /^node:(net|fs|tls|http|https|dns|child_process|worker_threads|timers|os|process)/;

const IMPORT =
  /^(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm;

interface Import {
  file: string;
  layer: string;
  specifier: string;
}

const files = globSync('**/*.ts', { cwd: SRC }).filter((file) => !file.endsWith('.d.ts'));
const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(SRC, file), 'utf8').matchAll(IMPORT)].map(([, a, b, c]) => ({
    file,
    layer: file.split(sep)[0]!,
    specifier: (a ?? b ?? c)!,
  })),
);

test('the check sees the sources', () => {
  assert.ok(files.length > 10, `${files.length} files`);
  assert.ok(imports.length > 10, `${imports.length} imports`);
});

test('every folder has its line in the table', () => {
  const unknown = new Set(files.map((file) => file.split(sep)[0]!).filter((layer) => !(layer in MAY_IMPORT)));
  assert.deepEqual([...unknown], []);
});

test('every import goes down the layers', () => {
  const upward: string[] = [];
  for (const { file, layer, specifier } of imports) {
    if (!specifier.startsWith('.')) continue;
    const target = relative(SRC, resolve(SRC, dirname(file), specifier)).split(sep)[0]!;
    if (target === layer) continue;
    const allowed = MAY_IMPORT[layer]!;
    if (allowed !== EVERYTHING && !allowed.includes(target)) upward.push(`${file} imports ${target}`);
  }
  assert.deepEqual(upward, []);
});

test('the pure layers do no I/O', () => {
  const impure = imports.filter(({ layer, specifier }) => PURE.has(layer) && IMPURE_MODULES.test(specifier));
  assert.deepEqual(
    impure.map(({ file, specifier }) => `${file} imports ${specifier}`),
    [],
  );
});

test('only catalog and log open SQLite files', () => {
  const openers = imports.filter(
    ({ layer, specifier }) => specifier === 'better-sqlite3' && layer !== 'catalog' && layer !== 'log',
  );
  assert.deepEqual(
    openers.map(({ file }) => file),
    [],
  );
});

test('only the composition root and config read the environment', () => {
  const readers = files.filter((file) => {
    const layer = file.split(sep)[0]!;
    if (layer === 'main.ts' || layer === 'cli' || layer === 'config') return false;
    return /\bprocess\.env\b/.test(readFileSync(join(SRC, file), 'utf8'));
  });
  assert.deepEqual(readers, []);
});

test('every import of our own names the file with its extension', () => {
  const bare = imports.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|js)$/.test(specifier));
  assert.deepEqual(
    bare.map(({ file, specifier }) => `${file}: ${specifier}`),
    [],
  );
});
