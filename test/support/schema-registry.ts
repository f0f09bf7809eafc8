import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { freePorts } from './kafka-broker.ts';
import { temporaryFolder } from './test-database.ts';
import { waitFor } from './wait-for.ts';

const INSTALL = join(import.meta.dirname, '..', '..', 'scripts', 'install-kafka.mjs');
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';

/** Apicurio Registry, a process of its own that keeps everything in memory. */
export class SchemaRegistryServer {
  readonly #port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.#port = port;
    this.#child = child;
  }

  static async start(folder: string): Promise<SchemaRegistryServer> {
    const args = [INSTALL, 'schema-registry'];
    const archives = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['-xzf', join(archives.trim(), 'apicurio-registry-app-3.0.9-all.tar.gz'), '-C', folder]);
    const [port] = await freePorts(1);
    const settings = ['-Dquarkus.http.host=127.0.0.1', `-Dquarkus.http.port=${port}`];
    const child = spawn('java', ['-Xmx512m', ...settings, '-jar', 'apicurio-registry-app-3.0.9-runner.jar'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => said.push(text.toString()));
    const server = new SchemaRegistryServer(port!, child);
    await waitFor(
      'the registry',
      async () => {
        if (child.exitCode !== null) throw new Error(`the registry ended:\n${said.join('')}`);
        return fetch(`${server.url}/subjects`).then(
          ({ ok }) => ok,
          () => false,
        );
      },
      120_000,
    );
    return server;
  }

  /** Of the interface that Confluent's has. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/apis/ccompat/v7`;
  }

  /** Of its own, which its converters ask. */
  get ownUrl(): string {
    return `http://127.0.0.1:${this.#port}/apis/registry/v2`;
  }

  async schema(id: number): Promise<string> {
    return ((await this.#ask(`/schemas/ids/${id}`)) as { schema: string }).schema;
  }

  async versions(subject: string): Promise<number> {
    return ((await this.#ask(`/subjects/${subject}/versions`)) as readonly number[]).length;
  }

  async setCompatibility(level: string): Promise<void> {
    await this.#ask('/config', { method: 'PUT', body: JSON.stringify({ compatibility: level }) });
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #ask(path: string, init: RequestInit = {}): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, { ...init, headers: { 'content-type': MEDIA_TYPE } });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
}

/** A registry that ends with the test file. */
export async function startSchemaRegistry(): Promise<SchemaRegistryServer> {
  const server = await SchemaRegistryServer.start(
    join(temporaryFolder(), `registry-${randomBytes(4).toString('hex')}`),
  );
  after(() => server.kill());
  return server;
}
