#!/usr/bin/env node
// Runs the built program; in a clone, which has none, the sources themselves. Under a Node that is too old, hands over to
// the one that the lock file brings.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const [major, minor] = process.versions.node.split('.').map(Number);
const source = path('../src/main.ts');
const program = existsSync(source) ? source : path('../dist/main.js');
const needed = program === source ? [24, 12] : [22, 19];

if (major > needed[0] || (major === needed[0] && minor >= needed[1])) {
  await import(program === source ? '../src/main.ts' : '../dist/main.js');
} else {
  const node = path('../node_modules/.bin/node');
  if (!existsSync(node)) {
    console.error(`walhook needs Node ${needed.join('.')} or newer; this is ${process.versions.node}`);
    process.exit(1);
  }
  const result = spawnSync(node, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(result.status ?? 1);
}
