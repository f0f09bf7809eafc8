import type { SeededRandom } from '../../support/seeded-random.ts';

/** The table of every type that the tests compare over; the second of each pair is its values' SQL literals. */
export const COLUMNS: Readonly<Record<string, readonly [type: string, values: readonly string[]]>> = {
  b: ['bool', ['true', 'false']],
  i2: ['int2', ['0', '1', '-1', '7', '32767', '-32768', '100']],
  i4: ['int4', ['0', '1', '-1', '2', '3', '2147483647', '-2147483648', '65536', '10']],
  i8: ['int8', ['0', '1', '-1', '9223372036854775807', '-9223372036854775808', '9007199254740993', '2147483648', '5']],
  n: [
    'numeric',
    "0 1 -1 0.5 1.50 -2.5 123456789012345678901234567890.12345 'NaN' 'Infinity' '-Infinity' 1e-20 1e40 3.0 2147483648 0.000".split(
      ' ',
    ),
  ],
  f4: ['float4', "0 '-0' 1.5 -1 0.1 'NaN' 'Infinity' '-Infinity' 3.4e38 1e-45 16777217 2.5 3.5".split(' ')],
  f8: [
    'float8',
    "0 '-0' 1.5 -1 0.1 'NaN' 'Infinity' '-Infinity' 1.7e308 5e-324 9007199254740993 2.5 0.5 1e15 123456789.123456789".split(
      ' ',
    ),
  ],
  t: [
    'text',
    "'' 'a' 'A' 'abc' 'abd' 'ab%' 'a_c' 'ä' 'Ä' '\u{1f600}' '\uffee' ' a' 'a ' '12' '1.5' ' 3 ' 't' 'null' 'a\\b' '{}'"
      .split("' '")
      .map((piece) => `'${piece.replace(/^'|'$/g, '')}'`),
  ],
  tc: ['text COLLATE "C"', "'' 'a' 'B' 'abc' 'Abc' 'z' 'ä' '\u{1f600}' '\uffee' 'a\\'".split(' ')],
  v: ['varchar(10)', ["''", "'a'", "'a  '", "'abc'", "'ß'", "'7'"]],
  c: ['char(5)', ["''", "'a'", "'abc'", "'abcde'", "'ä'"]],
  u: [
    'uuid',
    [
      "'00000000-0000-0000-0000-000000000000'",
      "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
      "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    ],
  ],
  d: [
    'date',
    [
      "'2026-01-05'",
      "'infinity'",
      "'-infinity'",
      "'0044-03-15 BC'",
      "'12026-02-28'",
      "'5874897-12-31'",
      "'2000-02-29'",
    ],
  ],
  ts: [
    'timestamp',
    [
      "'2026-01-05 00:00:00'",
      "'2026-01-05 10:00:00.123456'",
      "'infinity'",
      "'-infinity'",
      "'0044-03-15 12:00:00 BC'",
      "'294276-12-31 23:59:59.999999'",
      "'1999-12-31 23:59:59.5'",
    ],
  ],
  tz: [
    'timestamptz',
    [
      "'2026-01-05 00:00:00+00'",
      "'2026-01-05 10:00:00.5+05:45'",
      "'infinity'",
      "'-infinity'",
      "'0001-01-01 00:00+00 BC'",
    ],
  ],
  tm: ['time', ["'00:00'", "'24:00:00'", "'12:34:56.789'", "'23:59:59.999999'"]],
  by: ['bytea', ["'\\x'", "'\\x00'", "'\\x00ff'", "'\\xff'", "'abc'"]],
  e: ['mood', ["'sad'", "'ok'", "'happy'"]],
  j: ['json', [`'{"a":1,"b":"x"}'`, `'[1,2,"z"]'`, `'"s"'`, `'null'`, `'{"a": {"b" : [1, 2]}, "a":"2"}'`, `'5'`]],
  jb: [
    'jsonb',
    [
      `'{"a":1,"b":"x"}'`,
      `'{"a":1.0,"c":[1,2,{"d":null}]}'`,
      `'[1,2,"z",[3]]'`,
      `'"s"'`,
      `'null'`,
      `'{"a":{"b":[1,2.50]},"n":null,"a b":"\\u00e9\\n"}'`,
      `'5'`,
      `'[]'`,
      `'{}'`,
      `'{"a":"12"}'`,
    ],
  ],
  ai: ['int4[]', ["'{}'", "'{1,2,3}'", "'{1,NULL}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"]],
  at: ['text[]', ["'{}'", `'{a,"b c",NULL,"NULL","q\\"x"}'`, `'{abc}'`, `'{"",ä}'`, "'{a\u00a0,\u2003b}'"]],
  an: ['numeric[]', ["'{1.0,2}'", "'{NaN,Infinity}'", "'{}'"]],
  di: ['small', ['1', '7', '-1']],
  dt: ['word', ["'a'", "'abc'", "'12'"]],
  dd: ['date[]', ["'{2026-01-05,infinity}'", "'{}'"]],
};

/** Labels in the enum's order, which is not that of their letters. */
export const MOODS = ['sad', 'ok', 'happy', 'unused'];

type Name = keyof typeof COLUMNS;

const NUMBERS = ['i2', 'i4', 'i8', 'n', 'f4', 'f8', 'di'];
const TEXTS = ['t', 'tc', 'v', 'c', 'dt'];
const SCALARS = [...NUMBERS, ...TEXTS, 'b', 'u', 'd', 'ts', 'tz', 'tm', 'by', 'e', 'jb'];
const COMPARE = ['=', '<>', '<', '<=', '>', '>=', '!='];
const NUMBER_TYPES = ['int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'numeric(5,2)', 'decimal(3)', 'real'];
const PATTERNS = [
  "'a%'",
  "'%b%'",
  "'_'",
  "'A_c'",
  "'%'",
  "''",
  "'a\\%'",
  "'%\\'",
  "'a!%' ESCAPE '!'",
  "'%c' ESCAPE ''",
  "'ä%'",
];
const BAD = ["'x'", "'1'", "'2026-01-05'", "'{1}'", "''", "'1e400'", "'NaN'", "'t'", "'99999999999'", "'[1'"];

const OLD_NUMBERS = ['0', '1', '2', '-3', '0.5', '1e2', '10000000000', '.5', '7.'];

/** Random predicates: mostly well-typed, now and then not. */
export class PredicateGenerator {
  readonly #random: SeededRandom;
  readonly #numbers: readonly string[];

  /** `newNumbers`: also those that PostgreSQL has since version 16. */
  constructor(random: SeededRandom, newNumbers = true) {
    this.#random = random;
    this.#numbers = [...OLD_NUMBERS, ...(newNumbers ? ['1_0', '0x1F'] : [])];
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  boolean(depth = 3): string {
    if (depth > 0 && this.#random.chance(0.35)) {
      const [a, b] = [this.boolean(depth - 1), this.boolean(depth - 1)];
      return this.#pick([
        `(${a}) AND (${b})`,
        `(${a}) OR (${b})`,
        `NOT (${a})`,
        `(${a}) IS ${this.#truth()}`,
        `${a} OR ${b}`,
        `NOT ${a}`,
      ]);
    }
    return this.#random.chance(0.12) ? this.#chaos() : this.#simple(depth);
  }

  /** An expression whose value has a text that hangs on nothing else: every digit of it counts. */
  textOfValue(): string {
    switch (this.#random.below(8)) {
      case 0:
      case 1:
        return `(${this.#text(2)})::text`;
      case 2:
        return `('${this.#json2(3)}'::jsonb)::text`;
      case 3:
        return `(jb || '')::text`.replace(
          'jb',
          this.#pick(['(jb)::text', '(j)::jsonb::text', `(jb -> 'a')::text`, `(j ->> 0)`]),
        );
      case 4:
        return `(${this.#pick(NUMBERS)})::numeric::text`;
      default:
        return `(${this.#number(2)})::numeric::text`;
    }
  }

  #digits(most: number): string {
    return Array.from({ length: 1 + this.#random.below(most) }, () => this.#random.below(10)).join('');
  }

  #randomNumber(): string {
    const digits = this.#digits(this.#random.chance(0.2) ? 30 : 5);
    return this.#pick([
      this.#pick(this.#numbers),
      digits,
      `${digits}.${this.#digits(12)}`,
      `0.${'0'.repeat(this.#random.below(12))}${digits}`,
      `${digits}e${this.#pick(['-', ''])}${this.#random.below(25)}`,
    ]);
  }

  /** JSON as people write it: spaces, escapes, keys twice. */
  #json2(depth: number): string {
    const space = this.#pick(['', ' ', '\n']);
    if (depth === 0 || this.#random.chance(0.3)) {
      const numbers = ['0', '-0', '1.50', '1e2', '-2.5E-3', '12345678901234567890', '1.0e1'];
      const strings = [
        '""',
        '"a"',
        '"\\u00e9\\n"',
        '"\\ud83d\\ude00"',
        '"/\\/"',
        '"\\u0001\u007f"',
        '"ä b"',
        '"\\\\\\""',
      ];
      return this.#pick(['null', 'true', 'false', ...numbers, ...strings]);
    }
    const items = Array.from({ length: this.#random.below(4) }, () => this.#json2(depth - 1));
    if (this.#random.chance(0.5)) return `[${items.join(`,${space}`)}${space}]`;
    const keys = ['"b"', '"a"', '"aa"', '"ä"', '""', '"\\u0061"'];
    return `{${space}${items.map((item) => `${this.#pick(keys)}${space}:${item}`).join(',')}}`;
  }

  #randomText(alphabet: readonly string[]): string {
    return `'${Array.from({ length: this.#random.below(7) }, () => this.#pick(alphabet)).join('')}'`;
  }

  #truth(): string {
    return this.#pick(['TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE', 'UNKNOWN', 'NOT UNKNOWN', 'NULL', 'NOT NULL']);
  }

  #simple(depth: number): string {
    switch (this.#random.below(12)) {
      case 0:
        return this.#pick([
          'b',
          'b = true',
          'NULL',
          'true',
          'b IS NOT FALSE',
          `${this.#pick(Object.keys(COLUMNS))} IS NULL`,
        ]);
      case 1:
        return this.#like();
      case 2:
        return this.#inList();
      case 3:
        return this.#json();
      case 4:
        return this.#array();
      case 5:
        return this.#between();
      case 6:
      case 7:
        return `${this.#number(depth)} ${this.#pick(COMPARE)} ${this.#number(depth)}`;
      case 8:
        return `${this.#text(depth)} ${this.#pick(COMPARE)} ${this.#text(depth)}${this.#random.chance(0.5) ? ' COLLATE "C"' : ''}`;
      case 9:
        return this.#date();
      default:
        return this.#sameType();
    }
  }

  /** Anything against anything: what Postgres refuses we must refuse. */
  #chaos(): string {
    const any = (): string => {
      const column = this.#pick(Object.keys(COLUMNS));
      return this.#pick([
        column,
        column,
        this.#literal(column),
        this.#pick(BAD),
        'NULL',
        `${column}::${this.#pick([...NUMBER_TYPES, 'text', 'jsonb', 'date', 'varchar(2)', 'char(3)', 'bool', 'uuid', 'timestamp', 'bytea', 'int4[]'])}`,
      ]);
    };
    const operator = this.#pick([
      ...COMPARE,
      '+',
      '||',
      '->',
      '->>',
      '@>',
      'LIKE',
      'IS DISTINCT FROM',
      '%',
      '-',
      '<@',
      'AND',
    ]);
    const plain = `${any()} ${operator} ${any()}`;
    return this.#pick([
      plain,
      plain,
      `(${plain}) = ${any()}`,
      `coalesce(${any()}, ${any()}) = ${any()}`,
      `nullif(${any()}, ${any()}) IS NULL`,
      `${any()} IN (${any()}, ${any()}, ${any()})`,
      `${any()} = ANY (${any()})`,
      `${any()} = ALL (ARRAY[${any()}, ${any()}])`,
      `lower(${any()}) = ${any()}`,
      `length(${any()}) = ${any()}`,
      `abs(${any()}) = ${any()}`,
      `${any()} BETWEEN ${any()} AND ${any()}`,
    ]);
  }

  #literal(name: Name): string {
    return this.#pick(COLUMNS[name]![1]);
  }

  #sameType(): string {
    const name = this.#pick(SCALARS);
    const right = this.#pick([
      this.#literal(name),
      this.#literal(name),
      name,
      'NULL',
      `nullif(${name}, ${this.#literal(name)})`,
      `coalesce(${name}, ${this.#literal(name)})`,
    ]);
    const operator = this.#pick([...COMPARE, '=', '=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM']);
    return `${name} ${operator} ${right}`;
  }

  #number(depth: number): string {
    const name = this.#pick(NUMBERS);
    const leaf = this.#pick([name, name, `(${this.#literal(name)})`, this.#randomNumber()]);
    if (depth <= 0 || this.#random.chance(0.4)) return leaf;
    const a = this.#number(depth - 1);
    const b = this.#number(depth - 1);
    return this.#pick([
      `(${a} ${this.#pick(['+', '-', '*', '/', '%'])} ${b})`,
      `(${a} ${this.#pick(['+', '-', '*', '/', '%'])} ${b})`,
      `- ${a}`,
      `abs(${a})`,
      `(${a})::${this.#pick(NUMBER_TYPES)}`,
      `coalesce(${a}, ${b})`,
      `nullif(${a}, ${b})`,
      `length(${this.#text(0)})`,
      `(${this.#text(0)})::${this.#pick(NUMBER_TYPES)}`,
      `(jb ->> 'a')::${this.#pick(NUMBER_TYPES)}`,
      `ARRAY[${a}, ${b}] = ARRAY[${b}] IS NULL OR ${a}`,
    ]);
  }

  #text(depth: number): string {
    const name = this.#pick(TEXTS);
    const leaf = this.#pick([name, name, this.#literal(name), `E'a\\u00e4'`, `$$a$$`, `U&'\\00e4'`]);
    if (depth <= 0 || this.#random.chance(0.5)) return leaf;
    return this.#pick([
      `(${this.#text(depth - 1)} || ${this.#text(depth - 1)})`,
      `${this.#pick(['lower', 'upper'])}(${this.#pick(['tc', 't COLLATE "C"', 'c COLLATE "C"', 'tc'])})`,
      `(${this.#text(depth - 1)})::${this.#pick(['text', 'varchar(2)', 'char(3)', 'varchar', 'bpchar', 'char(7)'])}`,
      `coalesce(${this.#text(depth - 1)}, ${this.#text(depth - 1)})`,
      `nullif(${this.#text(depth - 1)}, ${this.#text(depth - 1)})`,
      `(${this.#pick(['jb', 'j'])} ->> 'b')`,
      `${this.#pick(['i4', 'n', 'i8', 'b', 'u', 'jb', 'i2'])}::text`,
    ]);
  }

  #like(): string {
    const text = this.#pick([...TEXTS, 'tc', `(jb ->> 'b')`, `tc || 'c'`]);
    const pattern = this.#pick([...PATTERNS, 't', 'tc', this.#randomText(['a', 'b', '%', '_', '\\', 'ä'])]);
    if (this.#random.chance(0.2)) return `tc || ${this.#randomText(['a', 'b', 'ä', '%'])} LIKE ${pattern}`;
    return `${text} ${this.#pick(['LIKE', 'NOT LIKE', 'LIKE', 'ILIKE', '~~', 'NOT ILIKE'])} ${pattern}`;
  }

  #inList(): string {
    const name = this.#pick(SCALARS);
    const items = Array.from({ length: 1 + this.#random.below(4) }, () =>
      this.#pick([
        this.#literal(name),
        this.#literal(name),
        'NULL',
        name,
        NUMBERS.includes(name) ? this.#number(1) : this.#literal(name),
      ]),
    );
    return `${name} ${this.#pick(['IN', 'NOT IN'])} (${items.join(', ')})`;
  }

  #between(): string {
    const name = this.#pick([...NUMBERS, 'tc', 'd', 'ts', 'tz', 'u', 'tm', 'e', 'by']);
    const mode = this.#pick(['BETWEEN', 'NOT BETWEEN', 'BETWEEN SYMMETRIC', 'NOT BETWEEN SYMMETRIC']);
    const bound = (): string => (NUMBERS.includes(name) ? this.#number(1) : this.#literal(name));
    return `${name} ${mode} ${bound()} AND ${bound()}`;
  }

  #date(): string {
    const d = this.#pick([
      'd',
      'd',
      `date '2026-01-05'`,
      `'2026-02-28'::date`,
      'd + 1',
      'd - 1',
      'i4 + d',
      'd - i2',
      'ts::date',
    ]);
    return this.#pick([
      `${d} ${this.#pick(COMPARE)} ${this.#pick(['d', 'ts', this.#literal('d'), `timestamp '2026-01-05 10:00'`])}`,
      `ts ${this.#pick(COMPARE)} ${d}`,
      `d - date '2000-01-01' ${this.#pick(COMPARE)} ${this.#number(1)}`,
      `${d}::timestamp ${this.#pick(COMPARE)} ts`,
      `tz ${this.#pick(COMPARE)} ${this.#literal('tz')}`,
      `coalesce(d, ts) = ts`,
    ]);
  }

  #json(): string {
    const path = this.#pick([`'a'`, `'b'`, `'c'`, '0', '1', '-1', `'n'`, `'a b'`, 'i4', 't']);
    const next = this.#pick([`'b'`, '0', '2', `'d'`]);
    const part = this.#pick([
      `'{"a":1}'`,
      `'[1]'`,
      `'1'`,
      `'"s"'`,
      `'{}'`,
      `'[[3]]'`,
      `'[]'`,
      `'{"a":{"b":[1]}}'`,
      `'{"c":[{}]}'`,
      `'null'`,
      `'5'`,
      'jb',
    ]);
    return this.#pick([
      `jb @> ${part}`,
      `jb <@ ${part}`,
      `${part} <@ jb`,
      `jb -> ${path} @> ${part}`,
      `jb -> ${path} = ${part}`,
      `jb -> ${path} -> ${next} = ${part}`,
      `(jb -> ${path})::text = ${this.#literal('t')}`,
      `(${this.#pick(['j', 'jb'])} ->> ${path}) = ${this.#pick([this.#literal('t'), `'1'`, `'2'`, `'x'`, `'{"b" : [1, 2]}'`, `'{"b": [1, 2.50]}'`])}`,
      `(j -> ${path} ->> ${next}) IS NULL`,
      `(j -> ${path})::text || '' = ${this.#pick([`'1'`, `'"2"'`, `'2'`])}`,
      `(jb ->> ${path})::${this.#pick(NUMBER_TYPES)} ${this.#pick(COMPARE)} 1`,
      `jb = ${this.#literal('jb')}`,
      `j::jsonb = jb`,
      `jb IS DISTINCT FROM ${part}`,
    ]);
  }

  #array(): string {
    const quantifier = this.#pick(['ANY', 'ALL', 'SOME']);
    const number = this.#number(1);
    return this.#pick([
      `i4 ${this.#pick(COMPARE)} ${quantifier} (ai)`,
      `${number} ${this.#pick(COMPARE)} ${quantifier} (ARRAY[${this.#number(1)}, ${this.#number(0)}])`,
      `i8 = ${quantifier} ('{1,2,NULL}')`,
      `n ${this.#pick(COMPARE)} ${quantifier} (an)`,
      `t ${this.#pick(['=', '<>'])} ${quantifier} (at)`,
      `tc ${this.#pick(COMPARE)} ${quantifier} (at)`,
      `v = ${quantifier} ('{a,abc,"a  "}')`,
      `c = ${quantifier} ('{a,abc}')`,
      `u = ${quantifier} (ARRAY[${this.#literal('u')}]::uuid[])`,
      `e = ${quantifier} ('{sad,ok}')`,
      `d = ${quantifier} (dd)`,
      `ai ${this.#pick(['=', '<>', '@>', '<@', 'IS DISTINCT FROM'])} ${this.#pick([this.#literal('ai'), 'ai', 'ARRAY[1,2]', 'ARRAY[i4]'])}`,
      `at @> ${this.#pick([`'{a}'`, `ARRAY['abc']`, 'at'])}`,
      `i4 = ${quantifier} ('{${this.#random.below(5)},2}'::${this.#pick(['int4[]', 'int8[]', 'int2[]', 'float8[]'])})`,
      `an = ai::numeric[]`,
    ]);
  }
}
