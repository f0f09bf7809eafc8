import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDeclarations } from '../../src/cli/declarations/declaration-file.ts';
import { planDeclarations } from '../../src/cli/declarations/declaration-plan.ts';
import { Declarations } from '../../src/cli/declarations/declarations.ts';
import { boundStatement, shownStatement } from '../../src/cli/declarations/plan-text.ts';
import { SecretValue } from '../../src/model/secret.ts';
import { PgError } from '../../src/postgres/sqlstate.ts';
import { analyze } from '../../src/sql/analyze.ts';
import type { CreateStream, DefiningStatement, Statement } from '../../src/sql/ast.ts';
import type { Command } from '../../src/sql/command.ts';
import { isDefining } from '../../src/sql/defining.ts';
import { parameterCount } from '../../src/sql/parameter-count.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';
import { createStream, statement } from '../sql/statement-arbitraries.ts';

// Laws of definitions as code: what is declared twice alike differs in nothing; what a plan runs is what it means; what it
// shows has no secret.

const RUNS = 1_000;
const defining = statement.filter((made): made is DefiningStatement => isDefining(made) && parameterCount(made) === 0);

/** Null where the statement says something that does not go, or not yet. */
function meaning(made: Statement, values: readonly string[] = []): Command | null {
  try {
    return analyze(made, values);
  } catch (error) {
    if (error instanceof PgError) return null;
    throw error;
  }
}

/** Positions apart, secrets in clear. */
function bare(command: Command | null): string {
  return JSON.stringify(command, function (this: Record<string, unknown>, key, value: unknown) {
    // JSON has asked the secret for what may be shown already.
    const own = this[key];
    if (own instanceof SecretValue) return { secret: own.reveal().toString('hex') };
    return key === 'position' ? undefined : value;
  });
}

test('a statement with its secrets as parameters means the same', () => {
  let meant = 0;
  fc.assert(
    fc.property(defining, (made) => {
      const expected = meaning(made);
      if (expected === null) return;
      meant++;
      const { text, values } = boundStatement(made);
      assert.equal(bare(meaning(parseStatement(text), values)), bare(expected), text);
    }),
    { numRuns: RUNS },
  );
  assert.ok(meant > RUNS / 3, `${meant} of ${RUNS}`);
});

const URLS = ['https://example.com/', 'http://h:8080/a%20b', 'https://h/?a=1', 'https://h/x?token=abc&b=%3D#c'];
const url = fc.constantFrom(...URLS).map((value) => ({ kind: 'string', value, position: 0 }) as const);

/** Of its options, those that go by themselves. */
function possible(made: CreateStream): CreateStream {
  const plain = { ...made, when: null, options: [] };
  return { ...made, options: made.options.filter((option) => meaning({ ...plain, options: [option] }) !== null) };
}

/** Streams that mostly can be: nearly everything else would be refused for what there is not yet, or for its URL. */
const stream = fc
  .tuple(createStream, url, fc.constantFrom('webhook' as const, 'endpoint' as const))
  .map(([made, to, kind]) => {
    const position = 0;
    const name = { text: 'e', position };
    const destination = kind === 'webhook' ? { kind, url: to, position } : { kind, name, position };
    return possible({ ...made, format: null, destination });
  })
  .filter((made) => parameterCount(made) === 0);

test('what is declared alike differs in nothing, whatever SHOW hides of it', () => {
  let declared = 0;
  fc.assert(
    fc.property(stream, (made) => {
      if (meaning(made) === null) return;
      declared++;
      const [want, have] = [new Declarations(), new Declarations()];
      want.add(made);
      have.add(parseStatement(shownStatement(made)));
      const { steps, problems } = planDeclarations(have, want, { role: 'r', setHidden: false });
      assert.deepEqual([steps, problems], [[], []], printStatement(made));
    }),
    { numRuns: RUNS },
  );
  assert.ok(declared > RUNS / 4, `${declared} of ${RUNS}`);
});

test('what is shown of a plan has no secret in it', () => {
  const file = `
    CREATE CDC SECRET k AS 'hunter1';
    CREATE CDC ENDPOINT e AS 'https://example.com/?a=hunter2' WITH (
      bearer_token = 'hunter3', headers = '{"X-Api-Key": "hunter4", "X-Team": "crm"}', "header.Cookie" = 'hunter5');
    CREATE CDC STREAM s ON t TO WEBHOOK 'https://example.com/?b=hunter6' WITH (signing_secret = 'whsec_aHVudGVyNw==');`;
  const want = readDeclarations(file, 'f');
  const others = file
    .replaceAll('hunter', 'other')
    .replace('whsec_aHVudGVyNw==', 'whsec_b3RoZXI3')
    .replaceAll('.com/', '.org/');
  for (const have of [new Declarations(), readDeclarations(others, 'f')]) {
    const { steps, notes, problems } = planDeclarations(have, want, { role: 'r', setHidden: true });
    assert.ok(steps.length >= 3, `${steps.length} steps`);
    const shown = [...steps.map((step) => shownStatement(step.statement)), ...notes, ...problems].join('\n');
    assert.doesNotMatch(shown, /hunter|aHVudGVy/);
    assert.match(shown, /crm/);
    const run = JSON.stringify(steps.map((step) => boundStatement(step.statement)));
    for (const secret of ['hunter1', 'hunter2', 'hunter3', 'hunter4', 'hunter5', 'hunter6', 'aHVudGVyNw==']) {
      assert.ok(run.includes(secret), secret);
    }
  }
});

const SEVERAL = `CREATE CDC SECRET k FROM ENV 'K';
CREATE CDC ENDPOINT e AS 'https://h/e' WITH (signing_secret = SECRET k);
CREATE CDC STREAM here ON t TO WEBHOOK 'https://h/a' COMMENT '
\\connect nowhere';
\\connect blog
CREATE CDC STREAM there ON t TO ENDPOINT e;
\\connect "Odd ""name"""
CREATE CDC STREAM odd ON t TO WEBHOOK 'https://h/c';`;

test('a stream is one of the database that was connected to before it, outside of strings', () => {
  const { streams } = readDeclarations(SEVERAL, 'f');
  assert.deepEqual(
    [...streams.values()].map(({ name, database }) => [name, database]),
    [
      ['here', null],
      ['there', 'blog'],
      ['odd', 'Odd "name"'],
    ],
  );
  assert.throws(() => readDeclarations('\\connect blog\nSELECT 1;', 'f'), { message: /^f:2:1: / });
});

test('a plan goes from database to database, and leaves those alone of which the file says nothing', () => {
  const options = { role: 'r', setHidden: false };
  const all = readDeclarations(SEVERAL, 'f');
  const said = (have: Declarations, text: string) => {
    const { steps, notes, problems } = planDeclarations(have, readDeclarations(text, 'f'), options);
    return { steps: steps.map(({ database, does, statement }) => [database, does, statement.kind]), notes, problems };
  };
  assert.deepEqual(said(new Declarations(), SEVERAL).steps, [
    [null, 'create', 'create-secret'],
    [null, 'create', 'create-endpoint'],
    [null, 'create', 'create-stream'],
    ['blog', 'create', 'create-stream'],
    ['Odd "name"', 'create', 'create-stream'],
  ]);
  const stays = (database: string): string =>
    `the file says nothing of the database ${database}: its streams stay, and what they use`;
  const less = said(all, `CREATE CDC STREAM here ON t TO WEBHOOK 'https://h/a';`);
  assert.deepEqual(less.steps, [[null, 'alter', 'comment-on-stream']]);
  assert.deepEqual(less.notes, [stays('blog'), stays('Odd "name"')]);
  assert.deepEqual(said(all, `\\connect blog\nCREATE CDC STREAM new ON t TO WEBHOOK 'https://h/a';`).steps, [
    [null, 'drop', 'drop-streams'],
    ['blog', 'create', 'create-stream'],
    ['blog', 'drop', 'drop-streams'],
    [null, 'drop', 'drop-endpoints'],
    [null, 'drop', 'drop-secrets'],
  ]);
  const { problems } = said(all, `CREATE CDC STREAM there ON t TO WEBHOOK 'https://h/a';`);
  assert.deepEqual(problems, ['CDC stream there: there is one in another database; drop it there first']);
});

test('a placeholder stands in a comment, and nowhere else', () => {
  const { secrets } = readDeclarations(
    `-- CREATE CDC SECRET a AS '***';
     CREATE CDC STREAM s ON t TO WEBHOOK 'https://h/' COMMENT '
-- CREATE CDC SECRET b AS ''***'';
';
--CREATE CDC SECRET "C c" AS '***'`,
    'f',
  );
  assert.deepEqual([...secrets.keys()], ['a', 'C c']);
});

test('a stream to Kafka is altered where its brokers or its topic change, and made anew where its options have to', () => {
  const kafka = (to: string, options: string): string =>
    `CREATE CDC STREAM s ON t TO KAFKA ${to} WITH (sasl_mechanism = plain, sasl_username = 'u', sasl_password = 'hunter1'${options});`;
  const said = (from: string, to: string) => {
    const have = new Declarations();
    for (const text of from.split(';').slice(0, -1)) {
      have.add(parseStatement(shownStatement(parseStatement(text) as DefiningStatement)));
    }
    const { steps, problems } = planDeclarations(have, readDeclarations(to, 'f'), { role: 'r', setHidden: false });
    assert.deepEqual(problems, []);
    return steps.map(({ does, statement: step }) => `${does} ${shownStatement(step)}`);
  };
  const one = kafka(`'a:1' TOPIC 'x'`, '');
  assert.deepEqual(said(one, one), []);
  assert.deepEqual(said(one, kafka(`'b:1' TOPIC 'x'`, '')), [`alter ALTER CDC STREAM s SET TO KAFKA 'b:1' TOPIC 'x'`]);
  assert.deepEqual(said(one, kafka(`'a:1' TOPIC 'x'`, ', acks = 1')), [`alter ALTER CDC STREAM s SET (acks = '1')`]);
  const [templated] = said(one, kafka(`'a:1'`, `, topic_template = '{table}'`));
  assert.match(templated!, /^replace CREATE OR REPLACE CDC STREAM s .* TO KAFKA 'a:1' .*topic_template = '\{table\}'/);
  assert.doesNotMatch(templated!, /hunter1/);
  const avro = kafka(`'a:1' TOPIC 'x' FORMAT AVRO`, `, schema_registry_url = 'http://r'`);
  assert.match(said(one, avro)[0]!, /^replace CREATE OR REPLACE .* FORMAT AVRO .*schema_registry_url = 'http:\/\/r'/);
  assert.match(said(avro, one)[0]!, /^replace CREATE OR REPLACE/);
  assert.deepEqual(said(avro, avro.replace('http://r', 'http://s')), [
    `alter ALTER CDC STREAM s SET (schema_registry_url = 'http://s')`,
  ]);
  const webhook = `CREATE CDC STREAM s ON t TO WEBHOOK 'http://h/' WITH (method = PUT);`;
  assert.match(said(webhook, one)[0]!, /^replace CREATE OR REPLACE/);
  assert.match(said(one, webhook)[0]!, /^replace CREATE OR REPLACE/);
});
