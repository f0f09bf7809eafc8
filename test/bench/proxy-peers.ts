import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { freePort, LOCAL_PASSWORD, LOCAL_USER } from '../../src/cli/local-postgres.ts';
import { WalhookChild } from './walhook-child.ts';

/** One way to the same server. */
export interface Target {
  readonly name: string;
  readonly port: number;
  /** The process between client and server. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

export interface Upstream {
  readonly port: number;
  /** The folder of its unix socket. */
  readonly socketFolder: string;
}

export function direct(upstream: Upstream): Target {
  return { name: 'direct', port: upstream.port, pid: null, stop: () => Promise.resolve() };
}

/** pgbouncer of Debian in session pooling, its defaults but for the numbers of connections. */
export async function pgbouncer(upstream: Upstream, folder: string): Promise<Target> {
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=127.0.0.1 port=${upstream.port} user=${LOCAL_USER} password=${LOCAL_PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = 10000
default_pool_size = 200
log_connections = 0
log_disconnections = 0
`,
  );
  // It does not run as root.
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  return peer('pgbouncer', '/usr/sbin/pgbouncer', ['-q', ...asNobody, file], port);
}

/** haproxy of Debian in TCP mode, one thread as the others have. */
export async function haproxy(upstream: Upstream, folder: string): Promise<Target> {
  const port = await freePort();
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  maxconn 4000
  nbthread 1
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstream.port}
`,
  );
  return peer('haproxy', '/usr/sbin/haproxy', ['-db', '-q', '-f', file], port);
}

/** `walhook serve` with the upstream by TCP, as the others have it, or by its unix socket. */
export async function walhook(upstream: Upstream, folder: string, by: 'tcp' | 'unix' = 'tcp'): Promise<Target> {
  const login = `postgres://${LOCAL_USER}:${LOCAL_PASSWORD}`;
  const url =
    by === 'tcp'
      ? `${login}@127.0.0.1:${upstream.port}/postgres?sslmode=disable`
      : `${login}@${encodeURIComponent(upstream.socketFolder)}:${upstream.port}/postgres`;
  const child = new WalhookChild(url, join(folder, `walhook-${by}`));
  await child.start();
  return {
    name: by === 'tcp' ? 'walhook' : 'walhook, unix',
    port: child.sqlPort,
    pid: child.pid,
    stop: () => child.stop(),
  };
}

/** Bytes through two sockets and nothing else: what this runtime can do without looking at them. */
export async function pipe(upstream: Upstream): Promise<Target> {
  const port = await freePort();
  const program = `
    const { createServer, connect } = require('node:net');
    createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      const server = connect({ port: ${upstream.port}, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
      for (const socket of [client, server]) socket.on('error', () => (client.destroy(), server.destroy()));
      client.pipe(server);
      server.pipe(client);
    }).listen(${port}, '127.0.0.1');`;
  return peer('pipe()', process.execPath, ['-e', program], port);
}

async function peer(name: string, file: string, args: readonly string[], port: number): Promise<Target> {
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  let isRunning = true;
  child.once('exit', () => (isRunning = false));
  while (!(await accepts(port))) {
    if (!isRunning) throw new Error(`${file} did not start`);
    await systemClock.sleep(20);
  }
  return { name, port, pid: child.pid ?? null, stop: () => end(child) };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
