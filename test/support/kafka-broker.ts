import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from './test-database.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const INSTALL = join(import.meta.dirname, '..', '..', 'scripts', 'install-kafka.mjs');

/** Apache Kafka's own broker in KRaft mode, a process of its own; topics are made with four partitions. */
export interface KafkaBrokerOptions {
  /** Who may log in by SCRAM, at a listener of its own. The first may do everything, the others nothing. */
  readonly users?: readonly { readonly name: string; readonly password: string }[];
  /** Server certificate and key, in PEM, for a listener of its own. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export class KafkaBroker {
  readonly #folder: string;
  readonly #options: KafkaBrokerOptions;
  #ports = { plain: 0, controller: 0, sasl: 0, tls: 0 };
  #jars = '';
  #child: ChildProcess | null = null;

  private constructor(folder: string, options: KafkaBrokerOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  /** In a folder of its own. */
  static async start(folder: string, options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
    const broker = new KafkaBroker(folder, options);
    await broker.#prepare();
    await broker.restart();
    return broker;
  }

  /** `host:port` of the listener. */
  address(listener: 'plain' | 'sasl' | 'tls' = 'plain'): string {
    return `127.0.0.1:${this.#ports[listener]}`;
  }

  /** Starts it again on the same ports and data; resolves when it answers. */
  async restart(): Promise<void> {
    await this.kill();
    const args = ['-Xmx512m', '-cp', this.#jars, 'kafka.Kafka', join(this.#folder, 'server.properties')];
    const child = spawn('java', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => said.push(text.toString()));
    this.#child = child;
    const answers = waitFor(
      'the broker',
      async () => {
        if (child.exitCode !== null) throw new Error(`the broker ended:\n${said.join('')}`);
        return run('kcat', ['-b', this.address(), '-L', '-m', '2']).then(
          ({ stdout }) => stdout.includes('1 brokers'),
          () => false,
        );
      },
      60_000,
    );
    await answers.catch(async (error: unknown) => {
      await this.kill();
      throw error;
    });
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async createTopic(name: string): Promise<void> {
    await waitFor(`the topic ${name}`, async () => {
      const { stdout } = await run('kcat', ['-b', this.address(), '-L', '-t', name]);
      return (
        /with [1-9]\d* partitions/.test(stdout) && !stdout.includes('leader -1') && !stdout.includes('not available')
      );
    });
  }

  async #prepare(): Promise<void> {
    const jars = execFileSync(process.execPath, [INSTALL], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    this.#jars = join(jars.trim(), '*');
    mkdirSync(this.#folder, { recursive: true });
    const [plain, controller, sasl, tls] = await freePorts(4);
    this.#ports = { plain: plain!, controller: controller!, sasl: sasl!, tls: tls! };
    const properties = join(this.#folder, 'server.properties');
    writeFileSync(properties, this.#properties());
    const users = (this.#options.users ?? []).flatMap(({ name, password }) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
        '--add-scram',
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    );
    const id = randomBytes(16).toString('base64url');
    const format = ['kafka.tools.StorageTool', 'format', '--standalone', '-t', id, '-c', properties];
    await run('java', ['-cp', this.#jars, ...format, ...users]);
  }

  #properties(): string {
    const { plain, controller, sasl, tls } = this.#ports;
    const { users = [], tls: certificate } = this.#options;
    const listeners = [`PLAIN://127.0.0.1:${plain}`, `CONTROLLER://127.0.0.1:${controller}`];
    const protocols = ['PLAIN:PLAINTEXT', 'CONTROLLER:PLAINTEXT'];
    const more: string[] = [];
    if (users.length > 0) {
      listeners.push(`SASL://127.0.0.1:${sasl}`);
      protocols.push('SASL:SASL_PLAINTEXT');
      const plainUsers = users.map(({ name, password }) => `user_${name}="${password}"`).join(' ');
      const module = 'org.apache.kafka.common.security';
      more.push(
        'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        `listener.name.sasl.plain.sasl.jaas.config=${module}.plain.PlainLoginModule required ${plainUsers};`,
        ...['scram-sha-256', 'scram-sha-512'].map(
          (name) => `listener.name.sasl.${name}.sasl.jaas.config=${module}.scram.ScramLoginModule required;`,
        ),
        'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        `super.users=User:ANONYMOUS;User:${users[0]!.name}`,
      );
    }
    if (certificate) {
      listeners.push(`TLS://127.0.0.1:${tls}`);
      protocols.push('TLS:SSL');
      const pem = join(this.#folder, 'server.pem');
      writeFileSync(pem, `${certificate.key}\n${certificate.cert}`);
      more.push('ssl.keystore.type=PEM', `ssl.keystore.location=${pem}`);
    }
    return [
      'process.roles=broker,controller',
      'node.id=1',
      `listeners=${listeners.join(',')}`,
      `listener.security.protocol.map=${protocols.join(',')}`,
      'controller.listener.names=CONTROLLER',
      'inter.broker.listener.name=PLAIN',
      `controller.quorum.bootstrap.servers=127.0.0.1:${controller}`,
      `log.dirs=${join(this.#folder, 'data')}`,
      'num.partitions=4',
      'offsets.topic.replication.factor=1',
      'group.initial.rebalance.delay.ms=0',
      ...more,
    ].join('\n');
  }
}

/** A broker that ends with the test file. */
export async function startKafka(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
  const broker = await KafkaBroker.start(join(temporaryFolder(), `kafka-${randomBytes(4).toString('hex')}`), options);
  after(() => broker.kill());
  return broker;
}

export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A message as kcat reads it. */
export interface ReadMessage {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  /** Null: a tombstone. */
  readonly payload: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Everything that is in the topic, in order within each partition; or the first `limit` that come. */
export async function readTopic(brokers: string, topic: string, limit?: number): Promise<readonly ReadMessage[]> {
  const count = limit === undefined ? [] : ['-c', String(limit)];
  const args = ['-b', brokers, '-t', topic, '-C', '-J', '-e', '-q', '-o', 'beginning', ...count];
  const kcat = spawn('kcat', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const read: ReadMessage[] = [];
  // Together they may be longer than a string can be.
  for await (const line of createInterface({ input: kcat.stdout })) {
    const { partition, offset, key, payload, headers = [] } = JSON.parse(line) as KcatMessage;
    const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i]!, headers[2 * i + 1]!] as const);
    read.push({ partition, offset, key, payload, headers: Object.fromEntries(pairs) });
  }
  return read;
}

/** The values of a topic's messages, byte for byte. */
export async function readBytes(brokers: string, topic: string): Promise<readonly Buffer[]> {
  // Each behind its length: what follows it may be any byte.
  const args = ['-b', brokers, '-t', topic, '-C', '-e', '-q', '-o', 'beginning', '-f', '%R%s'];
  const { stdout } = await run('kcat', args, { encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 });
  const values: Buffer[] = [];
  for (let at = 0; at < stdout.length;) {
    const length = stdout.readInt32BE(at);
    values.push(stdout.subarray(at + 4, at + 4 + Math.max(0, length)));
    at += 4 + Math.max(0, length);
  }
  return values;
}

/** How many messages are in the topic. */
export async function countMessages(brokers: string, topic: string): Promise<number> {
  const args = ['-b', brokers, '-t', topic, '-C', '-e', '-q', '-o', 'beginning', '-f', '.'];
  return (await run('kcat', args, { maxBuffer: 256 * 1024 * 1024 })).stdout.length;
}

interface KcatMessage extends Omit<ReadMessage, 'headers'> {
  readonly headers?: readonly string[];
}
