import { NO_FILE, readConfigFile } from './config-file.ts';
import type { OptionSpec } from './option-spec.ts';
import { environmentName, SERVE_OPTIONS, type Values } from './options.ts';

/** All that is wrong with a configuration, at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Words that are no options go to `rest`, for commands that take any. */
export interface Loaded<S extends Readonly<Record<string, OptionSpec<unknown>>>> {
  readonly values: Values<S>;
  readonly rest: readonly string[];
  /** Where each of them comes from, as it may be shown. */
  readonly settings: readonly LoadedSetting[];
}

/** An option as it was said; what is secret is `***`. */
export interface LoadedSetting {
  readonly name: string;
  readonly value: string;
  readonly source: 'flag' | 'environment' | 'file' | 'default';
  readonly text: string;
  /** As `OptionSpec.reloads`. */
  readonly isReloadable: boolean;
}

/**
 * Reads options from flags (`--name value`, `--name=value`), then the environment, then the file that `--config` names (where
 * that is one of the options), then their defaults. `switches` are flags without a value, such as `--once`; those given are in `rest`. `check` is given
 * the values that could be read and returns what is wrong with them together. Throws `ConfigError` with every problem found.
 */
export function loadOptions<S extends Readonly<Record<string, OptionSpec<unknown>>>>(
  specs: S,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  switches: readonly string[] = [],
  check: (values: Partial<Values<S>>) => readonly string[] = () => [],
): Loaded<S> {
  const problems: string[] = [];
  const { flags, rest } = readFlags(specs, args, switches, problems);
  const path = 'config' in specs ? (flags.get('config') ?? environment['WALHOOK_CONFIG'] ?? '') : '';
  const file = path === '' ? NO_FILE : readConfigFile(path, byVariable({ ...SERVE_OPTIONS, ...specs }), problems);
  const values: Record<string, unknown> = {};
  const settings: LoadedSetting[] = [];
  for (const [key, spec] of Object.entries(specs)) {
    const variable = environmentName(spec);
    const { text, source, origin } = find(spec, [
      { source: 'flag', text: flags.get(spec.name), origin: `--${spec.name}` },
      // An empty variable is as good as none.
      { source: 'environment', text: environment[variable] || undefined, origin: variable },
      { source: 'file', text: file[variable] || undefined, origin: `${variable} in ${path}` },
    ]);
    if (text === null) {
      problems.push(`--${spec.name} (or ${variable}) is required: ${spec.text}`);
      continue;
    }
    const shown = spec.secret === true && text !== '' ? '***' : text;
    settings.push({ name: spec.name, value: shown, source, text: spec.text, isReloadable: spec.reloads === true });
    try {
      values[key] = spec.parse(text);
    } catch (error) {
      problems.push(`${origin}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  problems.push(...check(values as Partial<Values<S>>));
  if (problems.length > 0) throw new ConfigError(problems);
  return { values: values as Values<S>, rest, settings };
}

/** Options by the names that they have in the environment. */
function byVariable(specs: Readonly<Record<string, OptionSpec<unknown>>>): ReadonlyMap<string, OptionSpec<unknown>> {
  return new Map(Object.values(specs).map((spec) => [environmentName(spec), spec]));
}

interface Given {
  readonly text: string | null;
  readonly source: LoadedSetting['source'];
  readonly origin: string;
}

/** The first that is said. */
function find(
  spec: OptionSpec<unknown>,
  candidates: readonly (Omit<Given, 'text'> & { readonly text: string | undefined })[],
): Given {
  for (const { text, ...from } of candidates) if (text !== undefined) return { text, ...from };
  return { text: spec.default, source: 'default', origin: `--${spec.name}` };
}

function readFlags(
  specs: Readonly<Record<string, OptionSpec<unknown>>>,
  args: readonly string[],
  switches: readonly string[],
  problems: string[],
): { flags: Map<string, string>; rest: string[] } {
  const known = new Set(Object.values(specs).map((spec) => spec.name));
  const flags = new Map<string, string>();
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (!word.startsWith('--') || switches.includes(word)) {
      rest.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    const name = word.slice(2, equals === -1 ? undefined : equals);
    const value = equals === -1 ? args[++i] : word.slice(equals + 1);
    if (!known.has(name))
      problems.push(`--${name} is no option; there are ${[...known].map((n) => `--${n}`).join(', ')}`);
    else if (value === undefined) problems.push(`--${name} needs a value`);
    else if (flags.has(name)) problems.push(`--${name} is given twice`);
    else flags.set(name, value);
  }
  return { flags, rest };
}

/** What the options are where none is given. None of them may be required. */
export function defaultValues<S extends Readonly<Record<string, OptionSpec<unknown>>>>(specs: S): Values<S> {
  return loadOptions(specs, [], {}).values;
}
