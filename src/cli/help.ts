import { SERVE_OPTIONS, environmentName, type OptionSpec } from '../config/options.ts';
import { START_OPTIONS } from './start-options.ts';

const COMMANDS = [
  ['serve', 'front a PostgreSQL of yours'],
  ['start', 'the demo: a PostgreSQL of its own, a receiver, and a tour'],
  ['version', 'print the version'],
  ['help [COMMAND]', 'print this, or the options of a command'],
] as const;

/** What `walhook help` prints. */
export function generalHelp(): string {
  const lines = COMMANDS.map(([name, text]) => `  walhook ${name.padEnd(16)} ${text}`);
  return ['walhook: a Postgres proxy that turns SQL into webhooks', '', 'Usage:', ...lines].join('\n');
}

/** The options of one command, or null where there is no such command. */
export function commandHelp(command: string): string | null {
  if (command === 'serve') return describe('walhook serve --upstream URL [OPTION …]', SERVE_OPTIONS, []);
  if (command === 'start') {
    return describe('walhook start [--once] [OPTION …]', START_OPTIONS, [
      '  --once\n      Stop after the tour; exit 0 only if every expected webhook arrived exactly as expected.',
    ]);
  }
  return null;
}

function describe(
  usage: string,
  specs: Readonly<Record<string, OptionSpec<unknown>>>,
  more: readonly string[],
): string {
  const options = Object.values(specs).map((spec) => {
    const fallback =
      spec.default === null ? 'required' : spec.default === '' ? 'default: none' : `default: ${spec.default}`;
    return `  --${spec.name} ${spec.placeholder}\n      ${spec.text}\n      (${environmentName(spec)}; ${fallback})`;
  });
  return ['Usage:', `  ${usage}`, '', 'Options:', ...more, ...options].join('\n');
}
