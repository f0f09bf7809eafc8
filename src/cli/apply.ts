import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import pg from 'pg';
import { systemClock } from '../base/clock.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { CLIENT_COMMAND_OPTIONS } from '../config/options.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { CatalogClient, CatalogClientError, declarationsOf } from './declarations/catalog-client.ts';
import { DeclarationError, explain, readDeclarations } from './declarations/declaration-file.ts';
import { planDeclarations, type DeclarationPlan, type Step } from './declarations/declaration-plan.ts';
import type { Declarations } from './declarations/declarations.ts';
import { boundStatement, shownStatement } from './declarations/plan-text.ts';
import { terminalProgress, type Progress } from './progress.ts';

const SWITCHES = ['--dry-run', '--yes', '--set-hidden'];
const SIGN: Readonly<Record<Step['does'], string>> = { create: '+', alter: '~', replace: '!', drop: '-' };

const DONE = 0;
const FAILED = 1;
/** Of `--dry-run`, as `terraform plan -detailed-exitcode` has it. */
const DIFFERENT = 2;

/**
 * `walhook apply FILE`: makes the catalog of a running walhook equal to a file, in one transaction (for each database, where the
 * file has several), after printing what will be done. Exit codes: 0 there is nothing to do, or it is done; 1 it failed, and nothing is done (or it says that it does not know); 2 with `--dry-run`, where
 * there is something to do. So a wrong command line is 1 here.
 */
export async function applyCommand(args: readonly string[]): Promise<number> {
  try {
    return await apply(args);
  } catch (error) {
    const problems = problemsOf(error);
    if (problems === null) throw error;
    for (const problem of problems) process.stderr.write(`walhook: ${problem}\n`);
    return FAILED;
  }
}

/** Null for what is a bug. */
function problemsOf(error: unknown): readonly string[] | null {
  if (error instanceof ConfigError || error instanceof DeclarationError) return error.problems;
  if (error instanceof pg.DatabaseError) return [explain(error)];
  return error instanceof CatalogClientError ? [error.message] : null;
}

async function apply(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(CLIENT_COMMAND_OPTIONS, args, process.env, SWITCHES);
  const [path, ...more] = rest.filter((word) => !SWITCHES.includes(word));
  if (path === undefined) throw new ConfigError(['apply needs the name of a file, or - for its standard input']);
  if (more.length > 0) throw new ConfigError(more.map((word) => `"${word}" is no option of apply`));
  const wanted = readDeclarations(readText(path), path);
  const client = await CatalogClient.connect(values.url);
  const has = (word: string): boolean => rest.includes(word);
  const progress = terminalProgress(systemClock);
  const write = (stream: NodeJS.WriteStream, line: string): void => {
    progress.clear();
    stream.write(`${line}\n`);
  };
  try {
    return await applyDeclarations(client, wanted, {
      isDryRun: has('--dry-run'),
      setHidden: has('--set-hidden'),
      confirm: has('--yes') ? () => Promise.resolve(true) : askTerminal,
      say: (line) => write(process.stdout, line),
      warn: (line) => write(process.stderr, line),
      progress,
    });
  } finally {
    progress.clear();
    await client.end();
  }
}

function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path === '-' ? 0 : path));
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError([`${path} is not in UTF-8`]);
    throw new ConfigError([(error as Error).message]);
  }
}

export interface ApplyOptions {
  readonly isDryRun: boolean;
  readonly setHidden: boolean;
  /** Whether the plan, which has been said, is to be carried out. */
  readonly confirm: (changes: string) => Promise<boolean>;
  readonly say: (line: string) => void;
  /** For what is no part of the plan. */
  readonly warn: (line: string) => void;
  /** Where nobody looks on, none. */
  readonly progress?: Progress;
}

/** Makes the catalog equal to what is wanted, and resolves to an exit code of `apply`. Rejects with what it cannot do. */
export function applyDeclarations(client: CatalogClient, wanted: Declarations, options: ApplyOptions): Promise<number> {
  return new Applying(client, wanted, options).run();
}

class Applying {
  readonly #client: CatalogClient;
  readonly #wanted: Declarations;
  readonly #options: ApplyOptions;

  constructor(client: CatalogClient, wanted: Declarations, options: ApplyOptions) {
    this.#client = client;
    this.#wanted = wanted;
    this.#options = options;
  }

  async run(): Promise<number> {
    const { say, warn, confirm, isDryRun } = this.#options;
    await this.#client.qualifyTables(this.#wanted);
    const plan = await this.#plan();
    for (const note of plan.notes) warn(`note: ${note}`);
    if (plan.problems.length > 0) {
      for (const problem of plan.problems) warn(`walhook: ${problem}`);
      return FAILED;
    }
    if (plan.steps.length === 0) {
      say('nothing to do: the catalog is what the file says');
      return DONE;
    }
    for (const steps of runsOf(plan)) {
      if (steps[0]!.database !== null || steps[0] !== plan.steps[0]) say(connectText(steps[0]!));
      for (const { does, statement } of steps) say(`${SIGN[does]} ${shownStatement(statement)};`);
    }
    if (isDryRun) return DIFFERENT;
    if (!(await confirm(countOf(plan)))) return FAILED;
    // Between the plan and the answer there may be hours.
    if (textOf(await this.#plan()) !== textOf(plan)) {
      throw new CatalogClientError('the catalog has changed meanwhile: run it again');
    }
    await this.#execute(plan);
    say(`done: ${countOf(plan)}`);
    return DONE;
  }

  async #plan(): Promise<DeclarationPlan> {
    const { progress } = this.#options;
    const shown = await this.#client.shown((done, total) => progress?.show('definitions read', done, total));
    progress?.clear();
    const have = declarationsOf(shown);
    const options = { role: await this.#client.role(), setHidden: this.#options.setHidden };
    return planDeclarations(have, this.#wanted, options);
  }

  async #execute(plan: DeclarationPlan): Promise<void> {
    const { warn } = this.#options;
    this.#client.onNotice = warn;
    let isFirst = true;
    let done = 0;
    const told = (): void => this.#options.progress?.show('changes made', done++, plan.steps.length);
    for (const steps of runsOf(plan)) {
      const failed = isFirst
        ? 'nothing is done, for this failed'
        : 'the databases before are done, and then this failed';
      await this.#executeIn(await this.#client.inDatabase(steps[0]!.database), steps, { failed, told });
      isFirst = false;
    }
  }

  /** `told`: before each step. */
  async #executeIn(
    client: CatalogClient,
    steps: readonly Step[],
    { failed, told }: { readonly failed: string; readonly told: () => void },
  ): Promise<void> {
    const { progress } = this.#options;
    await client.run('BEGIN');
    for (const { statement } of steps) {
      const { text, values } = boundStatement(statement);
      told();
      try {
        await client.run(text, values);
      } catch (error) {
        this.#options.warn(`walhook: ${failed}: ${shownStatement(statement)}`);
        throw error;
      }
    }
    progress?.clear();
    progress?.show('commit, which waits until what is new is captured');
    try {
      await client.run('COMMIT');
      progress?.clear();
    } catch (error) {
      if (!(error instanceof CatalogClientError)) throw error;
      throw new CatalogClientError(`${error.message}; run it again to see whether all of it is done or nothing`);
    }
  }
}

/** The steps that follow one another in one database, in their order. */
function runsOf({ steps }: DeclarationPlan): readonly (readonly Step[])[] {
  const runs: Step[][] = [];
  for (const step of steps) {
    const last = runs.at(-1);
    if (last?.[0]?.database === step.database) last.push(step);
    else runs.push([step]);
  }
  return runs;
}

function connectText({ database }: Step): string {
  return database === null ? 'back in the first database:' : `in the database ${quoteIdentifier(database)}:`;
}

function textOf({ steps }: DeclarationPlan): string {
  return JSON.stringify(steps.map(({ database, statement }) => [database, boundStatement(statement)]));
}

function countOf({ steps }: DeclarationPlan): string {
  return steps.length === 1 ? '1 change' : `${steps.length} changes`;
}

async function askTerminal(changes: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new ConfigError(['nobody is there to be asked: give --yes, or --dry-run to see the plan only']);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`\nApply ${changes}? (yes/no) `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
