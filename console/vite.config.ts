import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** What a page of ours may weigh is tested: test/http/console-build.test.ts. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Paths are relative, so that a proxy may serve the console under a path of its own.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../dist/console', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    // Inline `data:` images are not in the content security policy.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
