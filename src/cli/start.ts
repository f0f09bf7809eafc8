import { join, resolve } from 'node:path';
import { DataDirectory } from '../catalog/data-directory.ts';
import { CLIENT_OPTIONS } from '../config/client-options.ts';
import { ConfigError, defaultValues, loadOptions } from '../config/load.ts';
import type { ServeConfig, Values } from '../config/options.ts';
import { bound } from './address-in-use.ts';
import { LocalReceiver, formatWebhook, type ReceivedWebhook } from './local-receiver.ts';
import { LOCAL_PASSWORD, LOCAL_USER, LocalPostgres } from './local-postgres.ts';
import { stopSignal } from './signals.ts';
import { unreloadable } from './reload.ts';
import { START_OPTIONS } from './start-options.ts';
import { Tour } from './tour.ts';
import { Walhook } from './walhook.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/**
 * `walhook start`: a PostgreSQL of its own, walhook before it, a receiver behind it, and a tour of all three. With
 * `--once` it stops after the tour, and exits 0 only if every webhook that the tour expects arrived as expected.
 */
export async function startCommand(args: readonly string[]): Promise<number> {
  const { values, rest, settings } = loadOptions(START_OPTIONS, args, process.env, ['--once']);
  const unknown = rest.filter((word) => word !== '--once');
  if (unknown.length > 0) throw new ConfigError(unknown.map((word) => `"${word}" is no option of start`));
  const signal = stopSignal();

  await using stack = new AsyncDisposableStack();
  const dataDir = resolve(values.dataDir);
  // Locked before the server is touched: a second demo on the same folder must not take the first one's away.
  const directory = DataDirectory.open(dataDir);
  stack.defer(() => directory.close());
  const inbox: { take: (webhook: ReceivedWebhook) => void } = { take: printWebhook };
  const receiver = new LocalReceiver((webhook) => inbox.take(webhook));
  const receiverPort = await bound(receiver.listen(values.receiver.host, values.receiver.port), '--receiver');
  stack.defer(() => receiver.close());
  const endpointUrl = `http://${values.receiver.host}:${receiverPort}`;

  say('Starting PostgreSQL …');
  const postgres = await LocalPostgres.start({ dataDir: join(dataDir, 'postgres') });
  stack.defer(() => postgres.stop());

  const running = new AbortController();
  const walhook = new Walhook(serveConfig(values, postgres.url()), directory, settings.map(unreloadable));
  const finished = walhook.run(AbortSignal.any([signal, running.signal]));
  stack.defer(async () => {
    running.abort();
    await finished;
  });
  const { sqlPort, httpPort } = await walhook.ports;
  const sqlUrl = `postgres://${LOCAL_USER}:${LOCAL_PASSWORD}@${values.listen.host}:${sqlPort}/postgres`;
  say(
    `PostgreSQL on port ${postgres.port}; walhook before it: SQL on ${values.listen.host}:${sqlPort}, admin on http://${values.http.host}:${httpPort}`,
  );
  say(`The receiver listens on ${endpointUrl} and prints every webhook it gets.`);

  const tour = new Tour({ sqlUrl, endpointUrl: `${endpointUrl}/orders`, say });
  inbox.take = (webhook) => tour.take(webhook);
  const problems = await Promise.race([
    tour.run(signal),
    finished.then(() => ['walhook stopped before the tour ended']),
  ]);
  inbox.take = printWebhook;
  say(
    problems.length === 0
      ? '\nThe tour is over: every webhook arrived exactly as expected.'
      : '\nThe tour found problems:',
  );
  for (const problem of problems) say(`  ${problem}`);
  if (rest.includes('--once')) return problems.length === 0 ? 0 : 1;

  say(farewell(sqlUrl, endpointUrl, httpPort, values));
  await finished;
  return 0;
}

function serveConfig(values: Values<typeof START_OPTIONS>, upstream: string): ServeConfig {
  return {
    ...defaultValues(CLIENT_OPTIONS),
    config: '',
    upstream,
    listen: [values.listen],
    http: values.http,
    // Its password is in this program.
    console: 'open',
    consoleToken: null,
    dataDir: resolve(values.dataDir),
    secretKey: null,
    secretKeyFile: '',
    requireEndpoint: false,
    // The tour tells of each webhook before it comes.
    validate: false,
    // The demo's endpoints are on this machine.
    egressAllow: ['127.0.0.0/8', '::1/128', 'localhost'],
    logMaxBytes: 0,
    backfillMaxRowsPerSecond: 0,
    logLevel: values.logLevel,
    logFormat: values.logFormat,
  };
}

function printWebhook(webhook: ReceivedWebhook): void {
  say(`\n${formatWebhook(webhook)}`);
}

function farewell(sqlUrl: string, endpointUrl: string, httpPort: number, values: Values<typeof START_OPTIONS>): string {
  return `
Everything stays up. Connect with psql and try it:

    psql ${sqlUrl}

    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE CHANGE DATA CAPTURE ON users TO WEBHOOK '${endpointUrl}/users';
    INSERT INTO users VALUES (1, 'Ada');
    SHOW CDC STREAMS;

Webhooks are printed here. Console: http://${values.http.host}:${httpPort}/ (metrics: /metrics). Stop with Ctrl-C; the data stays in ${values.dataDir}.`;
}
