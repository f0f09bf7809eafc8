import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConsoleFiles } from '../../src/http/console/console-files.ts';

// The law: the console is there at once on a slow line, and needs nobody but walhook.

/** Bytes as they are served, which is without compression. */
const MOST_BYTES = 200_000;
const FOLDER = join(import.meta.dirname, '..', '..', 'dist', 'console');

test('what the console loads first is small, and all of it is its own', () => {
  const files = readConsoleFiles(FOLDER);
  assert.ok(files !== null, 'it is not built: npm run console');
  const bytes = files.reduce((sum, { body }) => sum + body.length, 0);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  const page = readFileSync(join(FOLDER, 'index.html'), 'utf8');
  const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
  assert.ok(loaded.length >= 4, page);
  for (const path of loaded)
    assert.ok(
      files.some((file) => `.${file.path}` === path),
      path,
    );
  // No script and no style stands in the page itself, where the content security policy would hold it back.
  assert.doesNotMatch(page, /<style|<script[^>]*>[^<]|\son[a-z]+=|style=/);
});
