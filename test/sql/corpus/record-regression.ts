// Records the statements that psql sends while it runs PostgreSQL's own regression suite, and writes them to
// regression.sql.br: node test/sql/corpus/record-regression.ts /path/to/postgresql-15.18
// A server of version 15 (the package postgres-15) runs them, so that \gset, \gexec, \if and COPY … FROM stdin go the way
// they were written to go. Needs psql.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { LocalPostgres } from '../../../src/cli/local-postgres.ts';
import { binDirOf } from '../../support/postgres-versions.ts';
import { writeRegressionCorpus } from './regression.ts';

const QUERY = 0x51;
const PARSE = 0x50;

/** The texts of the Query and Parse messages of one connection, behind its startup packet. */
function textsOf(bytes: Buffer): Buffer[] {
  const texts: Buffer[] = [];
  for (let at = bytes.readUInt32BE(0); at + 5 <= bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    const body = bytes.subarray(at + 5, end);
    if (bytes[at] === QUERY) texts.push(body.subarray(0, -1));
    if (bytes[at] === PARSE) {
      const start = body.indexOf(0) + 1;
      texts.push(body.subarray(start, body.indexOf(0, start)));
    }
    at = end;
  }
  return texts;
}

/** Those of the schedule, in its order, then the languages' and the extensions'. */
function scriptsOf(source: string): string[] {
  const suite = join(source, 'src/test/regress');
  const schedule = readFileSync(join(suite, 'parallel_schedule'), 'utf8');
  const names = [...schedule.matchAll(/^(?:test|ignore): (.*)$/gm)].flatMap(([, line]) => line!.trim().split(/\s+/));
  const more = globSync('{src/pl/*/{src/,}sql,contrib/*/sql}/*.sql', { cwd: source }).sort();
  return [...names.map((name) => join(suite, 'sql', `${name}.sql`)), ...more.map((path) => join(source, path))];
}

const source = process.argv[2];
if (source === undefined) throw new Error('where is the source of PostgreSQL 15?');
const folder = mkdtempSync(join(tmpdir(), 'walhook-record-'));
const server = await LocalPostgres.start({
  dataDir: join(folder, 'data'),
  binDir: await binDirOf(15),
  settings: { fsync: 'off', statement_timeout: '10s', lock_timeout: '2s', max_prepared_transactions: '2' },
});

const connections: Buffer[][] = [];
const recorder = createServer((socket) => {
  const chunks: Buffer[] = [];
  connections.push(chunks);
  const upstream = connect(server.port, '127.0.0.1');
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.pipe(upstream).pipe(socket);
  socket.on('error', () => upstream.destroy());
  upstream.on('error', () => socket.destroy());
});
recorder.listen(0, '127.0.0.1');
await once(recorder, 'listening');
const url = new URL(server.url());
url.port = String((recorder.address() as AddressInfo).port);
// No packet comes before the startup packet.
url.searchParams.set('sslmode', 'disable');
url.searchParams.set('gssencmode', 'disable');

const texts: Buffer[] = [];
const suite = join(source, 'src/test/regress');
for (const script of scriptsOf(source)) {
  connections.length = 0;
  const child = spawn('psql', ['-X', '-q', '-a', '-v', 'HIDE_TABLEAM=on', '-f', script, url.href], {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      PGTZ: 'PST8PDT',
      PG_ABS_SRCDIR: suite,
      PG_ABS_BUILDDIR: folder,
      PG_LIBDIR: folder,
      PG_DLSUFFIX: '.so',
    },
  });
  await once(child, 'exit');
  const seen = connections.flatMap((chunks) => textsOf(Buffer.concat(chunks)));
  console.log(`${basename(script)}: ${seen.length}`);
  texts.push(...seen);
}
recorder.close();
await server.stop('immediate');
rmSync(folder, { recursive: true, force: true });
const { kept, bytes } = writeRegressionCorpus(texts);
writeFileSync(join(import.meta.dirname, 'COPYRIGHT.postgresql'), readFileSync(join(source, 'COPYRIGHT')));
console.log(`${texts.length} texts, ${kept} kept, ${bytes} bytes`);
