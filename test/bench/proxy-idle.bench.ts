// How much memory do idle clients cost? Opens them one after another through walhook to a server that only holds them,
// asks each something once, and reports the resident memory of walhook's process.
//
//   node test/bench/proxy-idle.bench.ts [--clients 5000] [--fail-above 250]    (megabytes)
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { encodeStartupMessage } from '../../src/wire/startup.ts';
import { openFiles, peakResidentBytes, residentBytes } from './process-stat.ts';
import { WalhookChild } from './walhook-child.ts';

const { values: args } = parseArgs({
  options: { clients: { type: 'string', default: '5000' }, 'fail-above': { type: 'string', default: '250' } },
});
const clients = Number(args.clients);
const QUERY = Buffer.from([0x51, 0, 0, 0, 14, ...Buffer.from('SELECT 12\0')]);
const MEGABYTE = 1024 * 1024;
const TOGETHER = 100;

async function idleClient(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.write(encodeStartupMessage({ user: 'idle', database: 'idle' }));
  await once(socket, 'data');
  socket.write(QUERY);
  await once(socket, 'data');
  // From now on, an end is a failure.
  socket.once('close', () => lost++);
  return socket;
}

let lost = 0;
const folder = mkdtempSync(join(tmpdir(), 'walhook-bench-'));
const upstream = spawn(process.execPath, [join(import.meta.dirname, 'fake-upstream.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [printed] = (await once(upstream.stdout, 'data')) as [Buffer];
const walhook = new WalhookChild(
  `postgres://idle@127.0.0.1:${Number(printed.toString())}/idle?sslmode=disable`,
  join(folder, 'data'),
);
await walhook.start();
const sockets: Socket[] = [];
try {
  const report = (when: string): void => {
    const megabytes = (residentBytes(walhook.pid) / MEGABYTE).toFixed(0);
    console.log(`${when}: ${megabytes} MB resident, ${openFiles(walhook.pid)} descriptors`);
  };
  report('at the start');
  while (sockets.length < clients) {
    sockets.push(...(await Promise.all(Array.from({ length: TOGETHER }, () => idleClient(walhook.sqlPort)))));
    if (sockets.length % 1000 === 0) report(`${sockets.length} idle clients`);
  }
  await systemClock.sleep(10_000);
  report('ten seconds later');
  const peak = peakResidentBytes(walhook.pid) / MEGABYTE;
  console.log(`peak ${peak.toFixed(0)} MB; ${lost} connections lost`);
  if (peak > Number(args['fail-above']) || lost > 0) process.exitCode = 1;
  for (const socket of sockets) socket.removeAllListeners('close').destroy();
  await systemClock.sleep(3_000);
  report('all gone');
} finally {
  await walhook.stop();
  upstream.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
