import fc from 'fast-check';
import { Lexer, type Token } from '../../src/sql/lexer.ts';
import { printStatement } from '../../src/sql/print.ts';
import { STATEMENTS } from '../../src/sql/statements.ts';
import { statement } from '../sql/statement-arbitraries.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

// Statements of ours as nobody would write them.

const EXAMPLES = STATEMENTS.flatMap(({ examples }) => examples);
const WORDS = [
  ...'CREATE OR REPLACE CHANGE DATA CAPTURE CDC STREAM ON orders TO WEBHOOK ENDPOINT KAFKA WHEN WHERE WITH AS'.split(
    ' ',
  ),
  ...'ALTER DROP SHOW STREAMS STATUS SECRET FROM ENV FILE PAUSE RESUME ALL TABLES IN SCHEMA COMMENT IS NULL'.split(' '),
  ...'FORMAT JSON ENVELOPE OPERATIONS INSERT UPDATE OF KEY TRANSFORM SET RESET IF NOT EXISTS EXPLAIN select 1'.split(
    ' ',
  ),
  ...`( ) , ; . = < > :: ' " $$ $1 $2 $65535 $65536 $0 -- /* */ E' U&' \\ [ ] || @> ->> NEW. OLD. é \u{1f600}`.split(
    ' ',
  ),
  "'https://example.com/'",
  "'a''b'",
  '"a b"',
  '9'.repeat(400),
  '1e999999',
  '-0',
  '0x',
  '\n',
  '\t',
];

const pick = <T>(list: readonly T[], random: SeededRandom): T => list[random.below(list.length)]!;

/** A valid statement, any. */
export function anyStatement(random: SeededRandom): string {
  if (random.chance(0.5)) return pick(EXAMPLES, random);
  const [sample] = fc.sample(statement, { numRuns: 1, seed: random.below(2 ** 31) });
  return printStatement(sample!);
}

/** The bytes of a text: the given one with something done to it, once or more often. */
export function mutate(text: string, random: SeededRandom): Buffer {
  let changed = text;
  for (let left = random.below(4); left > 0; left--) changed = changeText(changed, random);
  const bytes = Buffer.from(changed);
  return random.chance(0.15) ? changeBytes(bytes, random) : bytes;
}

function changeText(text: string, random: SeededRandom): string {
  const tokens = tokensOf(text);
  const first = tokens.length === 0 ? 0 : random.below(tokens.length);
  const { start, end } = tokens[first] ?? { start: 0, end: 0 };
  const other = tokens.length === 0 ? '' : textOf(text, pick(tokens, random));
  const splice = (inner: string, from = start, to = end): string => text.slice(0, from) + inner + text.slice(to);
  switch (random.below(9)) {
    case 0:
      return splice('');
    case 1:
      return splice(other);
    case 2:
      return splice(` ${pick(WORDS, random)} `, end);
    case 3:
      return splice(pick(WORDS, random));
    case 4:
      return splice(`${text.slice(start, end)} ${text.slice(start, end)}`);
    case 5:
      return text.slice(0, random.below(text.length + 1));
    case 6:
      return `${text};${pick(EXAMPLES, random)}`;
    case 7: {
      const at = random.below(text.length + 1);
      return splice(pick(WORDS, random), at, at + random.below(3));
    }
    default:
      return splice(pick(['(', ')', '((', "'", '"', '$$', '$x$', '/*', '*/', '--', ';'], random), end, end);
  }
}

function changeBytes(bytes: Buffer, random: SeededRandom): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(6)), bytes.subarray(at)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([0]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xc3]), bytes.subarray(at)]);
    default:
      if (bytes.length > 0) bytes[at % bytes.length]! ^= 1 << random.below(8);
      return bytes;
  }
}

/** A word of ours, and whatever comes. */
export function noise(random: SeededRandom): Buffer {
  const head = random.chance(0.7)
    ? pick(EXAMPLES, random)
        .split(' ')
        .slice(0, 1 + random.below(4))
        .join(' ')
    : '';
  return Buffer.concat([Buffer.from(`${head} `), random.bytes(random.below(200))]);
}

function tokensOf(text: string): Token[] {
  const lexer = new Lexer(text, { standardConformingStrings: true });
  const tokens: Token[] = [];
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) tokens.push(token);
  return tokens;
}

function textOf(text: string, { start, end }: Token): string {
  return text.slice(start, end);
}
