#!/usr/bin/env node
// Runs the built program; in a clone, which has none, the sources themselves. Under a Node that is too old, hands over to
// the one that the lock file brings.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

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
  const bound = path('./ends-with-launcher.js');
  const child = spawn(node, ['--import', pathToFileURL(bound).href, program, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const signals = ['SIGTERM', 'SIGHUP', 'SIGINT'];
  // A terminal's own keys reach the child by themselves; a second SIGINT would mean that it is to hurry.
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(`walhook: ${node} cannot be run: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    // Ends in the way that the program has.
    for (const one of signals) process.off(one, forward);
    process.kill(process.pid, signal);
  });
}
