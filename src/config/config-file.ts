import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import type { OptionSpec } from './option-spec.ts';

export const NO_FILE: ConfigFile = {};

/** The options that a file sets, by the names that they have in the environment. */
export type ConfigFile = Readonly<Record<string, string | undefined>>;

const READABLE_BY_OTHERS = 0o004;

/**
 * Reads a file of lines `WALHOOK_NAME=value`, as systemd and Docker take them too. What is wrong with it goes to `problems`: that
 * it cannot be read, that it sets what is no option (`known`: by variable), that it holds a secret and everybody may read it.
 * https://nodejs.org/api/util.html#utilparseenvcontent
 */
export function readConfigFile(
  path: string,
  known: ReadonlyMap<string, OptionSpec<unknown>>,
  problems: string[],
): ConfigFile {
  let content: string;
  let mode: number;
  try {
    content = readFileSync(path, 'utf8');
    ({ mode } = statSync(path));
  } catch (error) {
    problems.push(`--config: ${error instanceof Error ? error.message : String(error)}`);
    return NO_FILE;
  }
  const file = parseEnv(content);
  const names = Object.keys(file);
  for (const name of names) if (!known.has(name)) problems.push(`${path}: ${name} is no option`);
  if (names.includes('WALHOOK_CONFIG')) problems.push(`${path}: one file names no other`);
  const secret = names.find((name) => known.get(name)?.secret === true && file[name] !== '');
  if (secret !== undefined && (mode & READABLE_BY_OTHERS) !== 0) {
    problems.push(`${path}: everybody may read it, and it holds ${secret}; chmod o-r`);
  }
  return file;
}
