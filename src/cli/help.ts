import type { OptionSpec } from '../config/option-spec.ts';
import { environmentName, optionText } from '../config/options.ts';
import { COMMANDS } from './commands.ts';

/** What `walhook help` prints. */
export function generalHelp(): string {
  const lines = COMMANDS.map(
    ({ name, operands, text }) => `  walhook ${`${name} ${operands}`.trimEnd().padEnd(18)} ${text}`,
  );
  return ['walhook: a Postgres proxy that turns SQL into webhooks', '', 'Usage:', ...lines].join('\n');
}

/** The same as a table of `docs/`. */
export function commandTable(): string {
  const rows = COMMANDS.map(
    ({ name, operands, text }) => `| \`${`walhook ${name} ${operands}`.trimEnd()}\` | ${text} |`,
  );
  return ['| command | what it does |', '| --- | --- |', ...rows].join('\n');
}

/** The options of one command, or null where there is no such command. */
export function commandHelp(command: string): string | null {
  const found = COMMANDS.find(({ name }) => name === command);
  if (found === undefined || found.usage === null) return null;
  const words = found.words.map(({ word, text }) => `  ${word}\n      ${text}`);
  const options = Object.values(found.options).map(describe);
  return ['Usage:', `  ${found.usage}`, '', 'Options:', ...words, ...options].join('\n');
}

function describe(spec: OptionSpec<unknown>): string {
  const fallback =
    spec.default === null ? 'required' : spec.default === '' ? 'default: none' : `default: ${spec.default}`;
  return `  --${spec.name} ${spec.placeholder}\n      ${optionText(spec)}\n      (${environmentName(spec)}; ${fallback})`;
}
