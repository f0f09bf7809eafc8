import type { OptionSpec } from '../config/option-spec.ts';
import {
  CHECK_OPTIONS,
  CLIENT_COMMAND_OPTIONS,
  DOCTOR_OPTIONS,
  environmentName,
  ROTATE_OPTIONS,
  SERVE_OPTIONS,
} from '../config/options.ts';
import { LISTEN_OPTIONS } from './listen-options.ts';
import { START_OPTIONS } from './start-options.ts';

const COMMANDS = [
  ['serve', 'front a PostgreSQL of yours'],
  ['start', 'the demo: a PostgreSQL of its own, a receiver, and a tour'],
  ['dump', 'print the definitions of a running walhook as SQL'],
  ['apply FILE', 'make the definitions of a running walhook equal to a file'],
  ['listen', 'a receiver for development, which fails as it is told'],
  ['check', 'whether a PostgreSQL has what capturing needs, and the SQL that brings it'],
  ['doctor', 'the same for the streams of a data directory, and whether its files are whole'],
  ['rotate-secret-key', 'encrypt the stored secrets with another key'],
  ['version', 'print the version'],
  ['help [COMMAND]', 'print this, or the options of a command'],
] as const;

/** What `walhook help` prints. */
export function generalHelp(): string {
  const lines = COMMANDS.map(([name, text]) => `  walhook ${name.padEnd(18)} ${text}`);
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
  if (command === 'listen') return describe('walhook listen [HOST:PORT] [OPTION …]', LISTEN_OPTIONS, LISTEN_HELP);
  if (command === 'check') return describe('walhook check --upstream URL', CHECK_OPTIONS, []);
  if (command === 'doctor') return describe('walhook doctor --upstream URL [OPTION …]', DOCTOR_OPTIONS, []);
  if (command === 'rotate-secret-key') return describe('walhook rotate-secret-key [OPTION …]', ROTATE_OPTIONS, []);
  if (command === 'dump') {
    return describe('walhook dump --url URL [--no-owner]', CLIENT_COMMAND_OPTIONS, [
      '  --no-owner\n      Leave out who owns what.',
    ]);
  }
  if (command === 'apply') return describe('walhook apply FILE --url URL [OPTION …]', CLIENT_COMMAND_OPTIONS, APPLY);
  return null;
}

const APPLY = [
  '  FILE\n      CREATE CDC SECRET, ENDPOINT and STREAM, COMMENT ON, OWNER TO: all that there is to be. - is standard input.',
  '  --dry-run\n      Print the plan only. Exit code 0: nothing to do; 2: something to do; 1: it cannot be done.',
  '  --yes\n      Do not ask. Without it, somebody has to be at a terminal.',
  '  --set-hidden\n      Set the values that the catalog shows to nobody (secrets, the queries of URLs), though they may be the same.',
];

const LISTEN_HELP = [
  '  HOST:PORT\n      Where to listen, or a port alone (default: 127.0.0.1:7490; 0: any free port).',
];

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
