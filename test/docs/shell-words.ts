import { environmentName } from '../../src/config/options.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import type { Block } from '../support/documentation.ts';

/** Why a block of this kind runs nowhere: `sh not-run=docker`. Its syntax and its options of walhook are checked all the same. */
export const NOT_RUN: Readonly<Record<string, string>> = {
  docker: 'needs a Docker engine; test/deploy/ runs the steps of the image and checks compose.yaml',
  kubernetes: 'needs a cluster; test/deploy/ checks the manifests',
  systemd: 'needs systemd and root',
  provider: 'needs an account with the provider, and its command line',
  registry: 'installs from the npm registry; test/deploy/package.full-test.ts does so with the packed package',
  clone: 'needs GitHub',
  tests: 'runs tests or benchmarks, for minutes or hours',
  upgrade: 'needs two versions of PostgreSQL, and a server to stop',
};

/** A command of walhook's within a script. */
export interface WalhookCall {
  readonly command: string;
  readonly args: readonly string[];
}

/** The commands of a script, word by word: enough for examples, which nest nothing. Here-documents are left out. */
export function commandsOf(script: string): readonly (readonly string[])[] {
  const withoutDocuments = script.replaceAll(/<<'?(\w+)'?[^\n]*\n[^]*?\n\1\n/g, '\n');
  const commands: string[][] = [[]];
  const tokens = withoutDocuments
    .replaceAll(/\\\n/g, ' ')
    .matchAll(/(?:^|(?<=\s))#[^\n]*|\n|&&|\|\||[;|&()]|(?:'[^']*'|"[^"]*"|[^\s;|&()'"])+/g);
  for (const [token] of tokens) {
    if (token.startsWith('#')) continue;
    if (/^(?:\n|&&|\|\||[;|&()])$/.test(token)) commands.push([]);
    else commands.at(-1)!.push(token.replaceAll(/['"]/g, ''));
  }
  return commands.filter((words) => words.length > 0);
}

/** What a block runs of walhook's: `walhook serve`, `npx walhook serve`, `npm start --`. */
export function walhookCalls(block: Block): readonly WalhookCall[] {
  return commandsOf(block.text).flatMap((words) => {
    const rest = words.slice(words.findIndex((word) => !/^\w+=/.test(word)));
    if (rest[0] === 'npm' && rest[1] === 'start')
      return [{ command: 'start', args: rest.slice(2).filter((word) => word !== '--') }];
    if (rest[0] === 'npx') rest.shift();
    if (rest[0] !== 'walhook') return [];
    return [{ command: rest[1] ?? 'help', args: rest.slice(2) }];
  });
}

/** What is wrong with the options of such a call. */
export function optionProblems({ command, args }: WalhookCall): readonly string[] {
  const spec = COMMANDS.find(({ name }) => name === command);
  if (spec === undefined) return [`there is no command ${command}`];
  const known = new Set([
    ...Object.values(spec.options).map(({ name }) => `--${name}`),
    ...spec.words.map(({ word }) => word),
    '--help',
  ]);
  return args
    .filter((word) => word.startsWith('--'))
    .map((word) => word.split('=')[0]!)
    .filter((flag) => !known.has(flag))
    .map((flag) => `walhook ${command} has no ${flag}`);
}

const ALL_OPTIONS = COMMANDS.flatMap(({ options }) => Object.values(options));

/** Every flag and every switch of every command. */
export const ALL_FLAGS: ReadonlySet<string> = new Set([
  ...ALL_OPTIONS.map(({ name }) => `--${name}`),
  ...COMMANDS.flatMap(({ words }) => words.map(({ word }) => word)),
  '--help',
  '--version',
]);

/** Every variable of the environment that an option has. */
export const ALL_VARIABLES: ReadonlySet<string> = new Set(ALL_OPTIONS.map(environmentName));
