import fc from 'fast-check';

const FRAGMENTS = [
  ...'\'"$;()*/-+=\\\n ,.eEnNuUxXbB&_1é\u212a'.split(''),
  '\u{1f600}',
  "E'",
  "U&'",
  '$a$',
  '--',
  '/*',
  '*/',
  'CREATE',
  'or',
  'replace',
  'cdc',
  'CHANGE',
  'stream',
  'show',
  'explain',
  'function',
  'begin atomic',
  'end',
  'case',
  'x',
];

/** Text made of what lexers stumble over. */
export const sqlText: fc.Arbitrary<string> = fc.oneof(
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((parts) => parts.join('')),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 40 }).map((parts) => parts.join(' ')),
  fc.string({ unit: 'binary' }),
);
