import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModule, parseSync } from 'libpg-query';
import { isOurs, mayBeOurs } from '../../src/sql/classify.ts';
import { Lexer, type Token } from '../../src/sql/lexer.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { regressionCorpus } from './corpus/regression.ts';

// The law: what PostgreSQL's grammar takes is never ours. The statements are those of PostgreSQL's own regression suite, as
// they are and changed; what is valid is decided by PostgreSQL's own parser (libpg-query). INTERCEPTION_FUZZ_SECONDS has
// more changes tried, TEST_SEED others.

await loadModule();

const SEED = Number(process.env['TEST_SEED'] ?? 20_260_105);
const FUZZ_MS = Number(process.env['INTERCEPTION_FUZZ_SECONDS'] ?? 5) * 1000;
const CONFORMING = { standardConformingStrings: true };
const texts = regressionCorpus();

/** How many statements PostgreSQL's parser finds, or null where the text is not valid. */
function statementsIn(text: string): number | null {
  try {
    return parseSync(text).stmts?.length ?? 0;
  } catch {
    return null;
  }
}

function oursIn(text: string, standardConformingStrings = true): string[] {
  const settings = { standardConformingStrings };
  const spans = splitStatements(text, settings).filter((span) => isOurs(text, span, settings));
  return spans.map(({ start, end }) => text.slice(start, end));
}

for (const standardConformingStrings of [true, false]) {
  test(`nothing of the regression suite is ours (standard_conforming_strings ${standardConformingStrings})`, () => {
    assert.ok(texts.length > 10_000, `${texts.length} texts`);
    for (const text of texts) assert.deepEqual(oursIn(text, standardConformingStrings), [], text);
  });
}

test('the regression suite is split where PostgreSQL’s parser splits it', () => {
  let valid = 0;
  for (const text of texts) {
    const count = statementsIn(text);
    if (count === null) continue;
    valid++;
    assert.equal(splitStatements(text, CONFORMING).length, count, text);
  }
  assert.ok(valid > texts.length * 0.9, `${valid} of ${texts.length} are valid`);
});

test('one of ours is found before, between and after those of the regression suite', () => {
  const ours = STATEMENTS.flatMap(({ examples }) => examples);
  for (const [index, text] of texts.entries()) {
    // What leaves a quote or a comment open takes in all that follows.
    if (splitStatements(`${text}\n;x`, CONFORMING).length !== splitStatements(text, CONFORMING).length + 1) continue;
    const one = ours[index % ours.length]!;
    const query = `${one};${text}\n;${one};${text}\n;${one}`;
    assert.deepEqual(oursIn(query), [one, one, one], query);
    assert.ok(mayBeOurs(Buffer.from(query), 0, Buffer.byteLength(query)));
  }
});

const BAITS = ['cdc', 'change', 'CDC', 'Change', 'stream', 'capture', 'data', '"cdc"', 'U&"cdc"', 'create', 'show'];
const OURS = [
  'CREATE CDC STREAM s ON t TO WEBHOOK $$x$$',
  'SHOW CDC STREAMS',
  'DROP CHANGE STREAM s',
  'cdc',
  'CHANGE DATA CAPTURE',
];
const GAPS = [
  (ours: string) => ` /* ${ours}; */ `,
  (ours: string) => ` --${ours};\n`,
  (ours: string) => `/*/**/;${ours}*/`,
  () => '\n\t',
  () => '/**/',
];
const STRINGS = [
  (ours: string) => `'; ${ours}; '`,
  (ours: string) => `E'\\'; ${ours}; '`,
  (ours: string) => `$cdc$; ${ours}; $cdc$`,
  (ours: string) => `U&'; ${ours}; '`,
  (ours: string) => `'x'\n'; ${ours}'`,
];

function tokensOf(text: string): Token[] {
  const lexer = new Lexer(text, CONFORMING);
  const tokens: Token[] = [];
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) tokens.push(token);
  return tokens;
}

/** The text with the words of our statements put where they may be and where they may not. */
function mutated(text: string, random: SeededRandom): string {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
  const tokens = tokensOf(text);
  const splice = (start: number, end: number, inner: string): string => text.slice(0, start) + inner + text.slice(end);
  if (tokens.length === 0) return text;
  const token = random.chance(0.3) ? tokens[0]! : pick(tokens);
  const names = tokens.filter(({ kind }) => kind === 'word' || kind === 'quoted-word');
  const strings = tokens.filter(({ kind }) => kind.endsWith('string'));
  switch (random.below(7)) {
    case 0:
      return splice(token.start, token.start, pick(GAPS)(pick(OURS)));
    case 1:
      return splice(token.start, token.start, ` ${pick(BAITS)} `);
    case 2:
    case 3: {
      const { start, end } = names.length > 0 ? pick(names) : token;
      return splice(start, end, pick(BAITS));
    }
    case 4: {
      const { start, end } = strings.length > 0 ? pick(strings) : token;
      return splice(start, end, pick(STRINGS)(pick(OURS)));
    }
    case 5:
      return splice(token.start, token.end, '');
    default:
      return `${text}\n;${pick(texts)}`;
  }
}

test('nothing that PostgreSQL’s parser takes is ours, with our words spliced into it', (t) => {
  let tried = 0;
  let valid = 0;
  let suspicious = 0;
  const until = performance.now() + FUZZ_MS;
  while (performance.now() < until) {
    const seed = SEED + tried++;
    const random = new SeededRandom(seed);
    let text = texts[random.below(texts.length)]!;
    // Long texts cost much and try little.
    if (text.length > 2000) continue;
    for (let left = 1 + random.below(4); left > 0; left--) text = mutated(text, random);
    const count = statementsIn(text);
    if (count === null) continue;
    valid++;
    if (mayBeOurs(Buffer.from(text), 0, Buffer.byteLength(text))) suspicious++;
    assert.deepEqual(oursIn(text), [], `seed ${seed}: ${text}`);
    assert.equal(splitStatements(text, CONFORMING).length, count, `seed ${seed}: ${text}`);
  }
  t.diagnostic(`seed ${SEED}: ${tried} texts, ${valid} of them valid, ${suspicious} with a word of ours`);
  assert.ok(suspicious > 100, `${suspicious} valid texts with a word of ours among ${tried}`);
});
