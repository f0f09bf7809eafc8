import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import type { Statement, StreamAction } from '../../src/sql/ast.ts';
import { isOurs } from '../../src/sql/classify.ts';
import { parseStatement } from '../../src/sql/parser.ts';
import { splitStatements } from '../../src/sql/split.ts';
import { METRICS } from '../../src/metrics/names.ts';
import { parseConnectionUrl } from '../../src/postgres/connection-url.ts';
import { type Block, documentation, documentExample, readPage, titleOf, wordOf } from '../support/documentation.ts';
import { ALL_FLAGS, ALL_VARIABLES, NOT_RUN, commandsOf, optionProblems, walhookCalls } from './shell-words.ts';

// Law: no block of the documentation goes untested. SQL runs in sql.pg-test.ts, shell in shell.full-test.ts, what stands behind
// `<!-- example: name -->` in the file below; JSON parses. A block of any other kind fails here. Links lead somewhere.

const ROOT = join(import.meta.dirname, '..', '..');

/** Who runs the named examples. */
const EXAMPLES: Readonly<Record<string, string>> = {
  'embedded.mjs': 'test/cli/embedded.pg-test.ts',
  'node.mjs': 'test/receiver/examples.pg-test.ts',
  'express.mjs': 'test/receiver/examples.pg-test.ts',
  'fastify.mjs': 'test/receiver/examples.pg-test.ts',
  'verify.sql': 'test/receiver/examples.pg-test.ts',
  'inbox.sql': 'test/receiver/examples.pg-test.ts',
  'upstream-url': 'test/docs/blocks.test.ts',
  'request.http': 'test/docs/payloads.pg-test.ts',
  'native.json': 'test/docs/payloads.pg-test.ts',
  'schema-change.json': 'test/docs/payloads.pg-test.ts',
  'debezium.json': 'test/docs/payloads.pg-test.ts',
  'flat.json': 'test/docs/payloads.pg-test.ts',
  'cloudevents.json': 'test/docs/payloads.pg-test.ts',
  'verify.py': 'test/receiver/languages.full-test.ts',
  'verify.go': 'test/receiver/languages.full-test.ts',
};

/** Of other programs. */
const FOREIGN_FLAGS: ReadonlySet<string> = new Set(['--omit', '--import']);

const pages = documentation();
const blocks = pages.flatMap((page) => page.blocks);

test('there is documentation', () => {
  assert.ok(blocks.filter(({ language }) => language === 'sql').length > 3);
  assert.ok(blocks.filter(({ language }) => language === 'sh').length > 3);
});

test('every named example is run by the test that says so, and there is no other', () => {
  const named = blocks.flatMap(({ example }) => example ?? []);
  assert.deepEqual(named.toSorted(), Object.keys(EXAMPLES).toSorted());
  for (const [name, file] of Object.entries(EXAMPLES)) {
    assert.ok(
      readFileSync(join(ROOT, file), 'utf8').match(`(?:documentExample|assertShown)\\('${name}'`),
      `${file} runs ${name}`,
    );
  }
});

test('the URL of an upstream is one', () => {
  assert.equal(parseConnectionUrl(documentExample('upstream-url').trim()).hosts.length, 2);
});

/** Every statement and every action of ALTER CDC STREAM: the compiler keeps the list whole. */
const STATEMENTS: Readonly<Record<Statement['kind'], true>> = {
  'create-stream': true,
  'explain-create-stream': true,
  'alter-stream': true,
  'drop-streams': true,
  'drop-endpoints': true,
  'drop-secrets': true,
  'create-endpoint': true,
  'alter-endpoint': true,
  'create-secret': true,
  'alter-secret': true,
  'comment-on-stream': true,
  'show-streams': true,
  'show-stream-status': true,
  'show-create-stream': true,
  'show-create-endpoint': true,
  'show-stream-tables': true,
  'show-stream-options': true,
  'show-stream-history': true,
  'show-deliveries': true,
  'show-dead-letters': true,
  'show-endpoints': true,
  'show-secrets': true,
  'show-slots': true,
  'show-settings': true,
  'show-version': true,
  check: true,
  test: true,
  'peek-stream': true,
  'backfill-stream': true,
  'cancel-backfill': true,
  'replay-stream': true,
  'retry-dead-letters': true,
  'discard-dead-letters': true,
};
const ACTIONS: Readonly<Record<StreamAction['kind'], true>> = {
  pause: true,
  resume: true,
  'set-options': true,
  'reset-options': true,
  rename: true,
  owner: true,
  'add-tables': true,
  'drop-tables': true,
  'set-destination': true,
  'set-format': true,
  'set-envelope': true,
  'set-when': true,
  'set-transform': true,
  restart: true,
  'reset-circuit': true,
  'skip-event': true,
};
/** Its event is one that just waits to be sent, so that no block can name it. */
const NOT_SHOWN: ReadonlySet<string> = new Set(['skip-event']);

test('every statement is in some block of SQL, and so runs', () => {
  const shown = new Set<string>();
  const whole = blocks.filter((block) => block.language === 'sql' && wordOf(block, 'error') === null);
  for (const { text } of whole) {
    for (const span of splitStatements(text, { standardConformingStrings: true })) {
      if (!isOurs(text, span, { standardConformingStrings: true })) continue;
      const statement = parseStatement(text.slice(span.start, span.end));
      shown.add(statement.kind);
      if (statement.kind === 'alter-stream') shown.add(statement.action.kind);
    }
  }
  const all = [...Object.keys(STATEMENTS), ...Object.keys(ACTIONS)];
  assert.deepEqual(
    all.filter((kind) => !shown.has(kind) && !NOT_SHOWN.has(kind)),
    [],
  );
});

/** What is wrong with a block that no other test would find; null: nothing. */
function problemOf(block: Block, before: Block | undefined): string | null {
  if (block.example !== null) return null;
  switch (block.language) {
    case 'sql': {
      const words = block.words.filter((word) => !/^error=\w{5}$/.test(word));
      return words.length === 0 ? null : `nobody knows ${words.join(' ')}`;
    }
    case 'sh': {
      const reason = wordOf(block, 'not-run');
      if (block.words.length > (reason === null ? 0 : 1)) return `nobody knows ${block.words.join(' ')}`;
      return reason === null || reason in NOT_RUN ? null : `not-run=${reason} is no reason of shell-words.ts`;
    }
    case 'json':
      JSON.parse(block.text);
      return null;
    case 'text': {
      const follows = before !== undefined && ['sql', 'sh'].includes(before.language) && before.example === null;
      const isPrinted = block.words.join(' ') === 'output' && follows && wordOf(before, 'not-run') === null;
      return isPrinted ? null : 'text is what the block before it prints (text output), or a named example';
    }
    default:
      return `nobody runs a block of the kind "${block.language}"`;
  }
}

for (const page of pages) {
  test(`${page.path}: every block is run or read by a test`, () => {
    for (const [at, block] of page.blocks.entries()) {
      const problem = problemOf(block, page.blocks[at - 1]);
      assert.equal(problem, null, titleOf(block));
    }
  });

  test(`${page.path}: shell is shell, and its options of walhook and scripts of npm are there`, () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    for (const block of page.blocks.filter(({ language }) => language === 'sh')) {
      execFileSync('bash', ['-n'], { input: block.text });
      for (const call of walhookCalls(block)) assert.deepEqual(optionProblems(call), [], titleOf(block));
      for (const [variable] of block.text.matchAll(/\bWALHOOK_[A-Z_]+/g)) {
        assert.ok(ALL_VARIABLES.has(variable), `${titleOf(block)}: ${variable}`);
      }
      for (const [first, second, script] of commandsOf(block.text)) {
        if (first === 'npm' && second === 'run') assert.ok(script! in scripts, `${titleOf(block)}: npm run ${script}`);
      }
    }
  });

  test(`${page.path}: flags, variables, metrics and scripts that the text names are there`, () => {
    const metrics = new Set<string>(Object.values(METRICS).map(({ name }) => name));
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    for (const code of page.inlineCode) {
      const flag = /^--[a-z-]+/.exec(code)?.[0];
      if (flag !== undefined && flag !== '--') {
        assert.ok(ALL_FLAGS.has(flag) || FOREIGN_FLAGS.has(flag), `${page.path}: ${flag}`);
      }
      for (const [variable] of code.matchAll(/\bWALHOOK_[A-Z_]+/g)) {
        assert.ok(ALL_VARIABLES.has(variable) || variable === 'WALHOOK_NAME', `${page.path}: ${variable}`);
      }
      for (const [metric] of code.matchAll(/\bwalhook_(?:streams|delivery|capture|log|proxy)_?\w*/g)) {
        assert.ok(metrics.has(metric), `${page.path}: ${metric}`);
      }
      const script = /^npm run ([\w:-]+)/.exec(code)?.[1];
      if (script !== undefined && !script.endsWith(':'))
        assert.ok(script in scripts, `${page.path}: npm run ${script}`);
    }
  });
}

for (const path of [...pages.map((page) => page.path), 'CONTRIBUTING.md', 'src/README.md', 'grammar/README.md']) {
  test(`${path}: links lead somewhere`, () => {
    for (const { line, path: target, anchor } of readPage(path).links) {
      const file = target === '' ? path : normalize(join(dirname(path), target));
      assert.ok(existsSync(join(ROOT, file)), `${path}:${line}: there is no ${file}`);
      if (anchor !== '') assert.ok(readPage(file).anchors.has(anchor), `${path}:${line}: ${file} has no #${anchor}`);
    }
  });
}

test('every page of docs/ is linked from the README', () => {
  const linked = new Set(readPage('README.md').links.map(({ path }) => path));
  assert.deepEqual(
    pages.map((page) => page.path).filter((path) => path !== 'README.md' && !linked.has(path)),
    [],
  );
});
