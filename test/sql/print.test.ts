import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Literal, Name, Option, OptionValue, Parameter, Statement } from '../../src/sql/ast.ts';
import type { QualifiedName } from '../../src/sql/command.ts';
import { OPTION_NAMES, findOption } from '../../src/sql/options.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { printStatement } from '../../src/sql/print.ts';

// The law: what is printed reads back as the same statement, whatever its names and strings hold.

const position = 0;
/** Lone surrogates have no UTF-8, so no client can send them. */
const anyText = fc.oneof(
  fc.constantFrom('t', 'on', 'Table', 'if', 'cdc', "it's", 'a\\b', '$$', '"', '--', '/*', ';', 'é', '\u{1f600}', '\n'),
  fc.string({ unit: 'grapheme' }),
);
const name: fc.Arbitrary<Name> = anyText.filter((text) => text !== '').map((text) => ({ text, position }));
const parameter: fc.Arbitrary<Parameter> = fc
  .integer({ min: 1, max: 65_535 })
  .map((index) => ({ kind: 'parameter', index, position }));
const literal: fc.Arbitrary<Literal> = fc.oneof(
  anyText.map((value) => ({ kind: 'string', value, position }) as const),
  parameter,
);
const value: fc.Arbitrary<OptionValue> = fc.oneof(
  literal,
  fc.constantFrom('0', '-1', '1.5', '1e10', '0x1F', '-.5').map((text) => ({ kind: 'number', text, position }) as const),
  fc.constantFrom('on', 'true', 'select', 'gzip', 'é$1').map((text) => ({ kind: 'word', text, position }) as const),
);
const options: fc.Arbitrary<readonly Option[]> = fc.uniqueArray(
  fc.record({ name: fc.constantFrom(...OPTION_NAMES).map((text) => ({ text, position })), value: fc.option(value) }),
  { selector: (option) => findOption(option.name.text) },
);
const table: fc.Arbitrary<QualifiedName> = fc
  .tuple(fc.option(name), name)
  .map(([schema, { text }]) => ({ schema: schema?.text ?? null, name: text, position }));
const choice = <T extends string>(...words: T[]): fc.Arbitrary<{ value: T; position: number } | null> =>
  fc.option(fc.constantFrom(...words).map((word) => ({ value: word, position })));

const statement: fc.Arbitrary<Statement> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constant('create-stream' as const).chain((kind) =>
      fc.record({
        kind: fc.constant(kind),
        ifNotExists: fc.boolean(),
        name: fc.option(fc.oneof(name, parameter)),
        table,
        destination: fc.oneof(
          fc.record({ kind: fc.constant('webhook' as const), url: literal, position: fc.constant(position) }),
          fc.record({
            kind: fc.constant('kafka' as const),
            brokers: literal,
            topic: fc.option(literal),
            position: fc.constant(position),
          }),
        ),
        format: choice('json', 'avro'),
        envelope: choice('native', 'debezium', 'flat', 'cloudevents'),
        options,
      }),
    ),
  },
  fc.record({ kind: fc.constant('alter-stream' as const), name, action: fc.constantFrom('pause', 'resume') }),
  fc.record({
    kind: fc.constant('drop-streams' as const),
    ifExists: fc.boolean(),
    names: fc.array(name, { minLength: 1 }),
  }),
  fc.constant({ kind: 'show-streams' as const }),
  fc.record({ kind: fc.constant('show-stream-status' as const), name }),
);

/** The same with every position 0, and plain prototypes for comparison. */
function withoutPositions(node: unknown): unknown {
  return JSON.parse(JSON.stringify(node, (key, part: unknown) => (key === 'position' ? position : part)));
}

for (const standardConformingStrings of [true, false]) {
  test(`a printed statement reads back as itself (standard_conforming_strings ${standardConformingStrings})`, () => {
    fc.assert(
      fc.property(statement, (original) => {
        const text = printStatement(original);
        const parsed = parseStatement(text, { standardConformingStrings });
        assert.deepEqual(withoutPositions(parsed), withoutPositions(original));
        assert.equal(printStatement(parsed), text);
      }),
      { numRuns: 2000 },
    );
  });
}
