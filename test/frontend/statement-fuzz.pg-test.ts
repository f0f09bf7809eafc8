import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModule, scanSync } from 'libpg-query';
import { silentLogger, type Logger } from '../../src/base/logger.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { RawClient, reportsOf, say, statusOf, textRowsOf, type Received } from '../support/raw-client.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { connect } from '../support/test-database.ts';
import { startPair, startProxy } from './proxy.ts';
import { startRecorder, type RecordedText } from './query-recorder.ts';
import { anyStatement, mutate, noise } from './statement-mutations.ts';

// Law: whatever is made of a statement of ours, in either protocol, the client gets an answer or an error with its SQLSTATE,
// the session goes on, nothing of ours reaches the upstream, and nothing of it is a fault of ours. STATEMENT_FUZZ_SECONDS
// has more of them made, TEST_SEED others.

const SEED = Number(process.env['TEST_SEED'] ?? 20_260_105);
const FUZZ_MS = Number(process.env['STATEMENT_FUZZ_SECONDS'] ?? 8) * 1000;
const SESSIONS = 3;
const CASES_PER_SESSION = 40;

await loadModule();
const faults: string[] = [];
const logger: Logger = {
  ...silentLogger,
  error: (fields, message) => faults.push(`${message}: ${JSON.stringify(fields, errorText)}`),
  child: () => logger,
};
const { server, direct } = await startPair();
const leaks: string[] = [];
const upstream = await startRecorder(direct, noteLeaks);
const proxy = await startProxy(upstream, { logger });
const admin = await connect(server.url());
await admin.query('create table orders (id int primary key, status text, total numeric, a int, x int)');

function errorText(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.stack : value;
}

function oursIn(text: string, standardConformingStrings: boolean): string[] {
  const settings = { standardConformingStrings };
  const spans = splitStatements(text, settings).filter((span) => isOurs(text, span, settings));
  return spans.map(({ start, end }) => text.slice(start, end));
}

const HEADS =
  /^(create (or replace )?|alter |drop |show create |check |test |peek |(cancel )?backfill |replay |retry |discard |pause |resume |comment on )(cdc|change)$/;

/** Whether the text begins as ours do: by the scanner of PostgreSQL, which knows nothing of ours. */
function beginsAsOurs(text: string): boolean {
  let words: string[];
  try {
    words = scanSync(text)
      .tokens.filter(({ tokenName }) => !/COMMENT/.test(tokenName))
      .slice(0, 4)
      .map(({ text: word }) => word.toLowerCase());
  } catch {
    return false;
  }
  return words.some((_, i) => HEADS.test(words.slice(0, i + 1).join(' ')));
}

function noteLeaks({ bytes, standardConformingStrings }: RecordedText): void {
  const text = bytes.toString();
  if (oursIn(text, standardConformingStrings).length > 0 || (text.length < 10_000 && beginsAsOurs(text)))
    leaks.push(text);
}

interface Case {
  readonly bytes: Buffer;
  readonly standardConformingStrings: boolean;
  readonly messages: readonly Buffer[];
  /** How many ReadyForQuery the messages ask for. */
  readonly syncs: number;
  readonly isExtended: boolean;
}

const BEFORE = 'select 1; ';
const AFTER = '\n; select 2';
const VALUES = ['', 'x', '1', 'https://example.com/', "'", '\0', Buffer.from([0xff]), null] as const;

function makeCase(random: SeededRandom, standardConformingStrings: boolean): Case {
  const bytes = random.chance(0.1) ? noise(random) : mutate(anyStatement(random), random);
  const common = { bytes, standardConformingStrings };
  switch (random.below(6)) {
    case 0:
      return {
        ...common,
        messages: [say.query(Buffer.concat([Buffer.from(BEFORE), bytes, Buffer.from(AFTER)]))],
        syncs: 1,
        isExtended: false,
      };
    case 1:
      return {
        ...common,
        messages: [say.query('begin'), say.query(bytes), say.query('rollback')],
        syncs: 3,
        isExtended: false,
      };
    case 2:
    case 3: {
      const name = random.chance(0.5) ? '' : 's';
      const values = Array.from(
        { length: random.chance(0.6) ? 0 : random.below(4) },
        () => VALUES[random.below(VALUES.length)]!,
      );
      const resultFormats = random.chance(0.5) ? [1] : [];
      const bind = say.bind(name, name, values, { parameterFormats: random.chance(0.3) ? [1] : [], resultFormats });
      const run = [say.parse(name, bytes), say.describe('statement', name), bind, say.describe('portal', name)];
      const end = [
        say.execute(name, random.below(3)),
        say.close('statement', name),
        say.sync(),
        say.query('deallocate all'),
      ];
      return { ...common, messages: [...run, ...end], syncs: 2, isExtended: true };
    }
    default:
      return { ...common, messages: [say.query(bytes)], syncs: 1, isExtended: false };
  }
}

/** What the examples are about, so that some of what is made of them is carried out. */
const SETTING = [
  `CREATE CDC SECRET k AS 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'`,
  `CREATE CDC ENDPOINT e AS 'https://example.com/'`,
  `CREATE CDC STREAM IF NOT EXISTS s ON orders TO WEBHOOK 'https://example.com/'`,
];

const seen = new Map<string, number>();

/** Runs a case, and a statement behind it that shows that the session is of use. */
async function run(client: RawClient, { bytes, messages, syncs, isExtended }: Case): Promise<void> {
  client.send(...messages, say.query(`select 'alive'`));
  const answer = await client.ready(syncs + 1);
  assert.deepEqual(textRowsOf(answer).at(-1), ['alive'], 'the session goes on');
  assert.equal(statusOf(answer), 'I');
  for (const report of reportsOf(answer)) checkReport(report, bytes, isExtended);
  count(answer);
}

function checkReport(report: Record<string, string>, bytes: Buffer, isExtended: boolean): void {
  const shown = JSON.stringify(report);
  assert.match(report['C'] ?? '', /^[0-9A-Z]{5}$/, shown);
  assert.notEqual(report['M'] ?? '', '', shown);
  assert.doesNotMatch(report['C']!, /^(XX|57P|58)/, shown);
  // Pools end a connection on class 08; as in Postgres, a malformed message and a wrong number of parameters are of it.
  if (!isExtended && !bytes.includes(0)) assert.doesNotMatch(report['C']!, /^08/, shown);
  if (report['P'] !== undefined) {
    const place = Number(report['P']);
    assert.ok(place >= 1 && place <= bytes.length + BEFORE.length + AFTER.length + 1, shown);
  }
}

function count(answer: readonly Received[]): void {
  for (const { C } of reportsOf(answer)) seen.set(C!, (seen.get(C!) ?? 0) + 1);
}

test('mutated statements and noise, in both protocols', async (t) => {
  let cases = 0;
  let ours = 0;
  const until = performance.now() + FUZZ_MS;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      const standardConformingStrings = new SeededRandom(SEED + cases).chance(0.8);
      const parameters: Record<string, string> = standardConformingStrings
        ? {}
        : { standard_conforming_strings: 'off' };
      const client = await RawClient.start(proxy.address, parameters);
      for (const one of SETTING) await client.query(one);
      for (let left = CASES_PER_SESSION; left > 0 && performance.now() < until; left--) {
        const seed = SEED + cases++;
        const one = makeCase(new SeededRandom(seed), standardConformingStrings);
        if (oursIn(one.bytes.toString(), standardConformingStrings).length > 0) ours++;
        try {
          await run(client, one);
          assert.deepEqual([leaks, faults], [[], []]);
        } catch (cause) {
          throw new Error(`seed ${seed}: ${one.bytes.toString()}`, { cause });
        }
      }
      client.close();
      proxy.streams.clear();
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, worker));
  const counts = [...seen].sort(([, a], [, b]) => b - a).map(([code, times]) => `${code} ${times}`);
  t.diagnostic(`seed ${SEED}: ${cases} texts, ${ours} with statements of ours; errors: ${counts.join(', ')}`);
  assert.ok(ours > 200, `${ours} of ${cases} texts are ours`);
  assert.ok((seen.get('42601') ?? 0) > 100);
});
