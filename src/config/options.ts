import { LOG_LEVELS, type LogLevel } from '../base/logger.ts';

/**
 * Every option once. The flag, the environment variable, `--help` and the README's table derive from this list.
 * `parse` throws an `Error` whose message says what would be valid; it is shown behind the option's name.
 */
export interface OptionSpec<T> {
  /** `data-dir` gives `--data-dir` and `WALHOOK_DATA_DIR`. */
  readonly name: string;
  readonly placeholder: string;
  /** In the form that the flag takes; null where the option must be given. */
  readonly default: string | null;
  readonly text: string;
  /** Printed as `***` by anything that shows the configuration. */
  readonly secret?: boolean;
  readonly parse: (text: string) => T;
}

/** Where to listen or to connect: TCP. Port 0 is any free one. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[v6]:port`, `:port` or `port`; the host defaults to 127.0.0.1. */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text.trim());
  const port = match ? Number(match[3]) : Number.NaN;
  if (!match || port > 65_535) throw new Error(`"${text}" is no address; write host:port, such as 127.0.0.1:7432`);
  const host = match[1] ?? match[2];
  return { host: host === undefined || host === '' ? '127.0.0.1' : host, port };
}

function parseUpstream(text: string): string {
  const problem = 'write postgres://user:password@host:port/database';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`it is no URL; ${problem}`);
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new Error(`"${url.protocol}//" is no scheme of PostgreSQL's; ${problem}`);
  }
  const socket = url.searchParams.get('host');
  if (url.hostname === '' && !socket) throw new Error(`it names no host; ${problem}`);
  if (url.username === '' && !url.searchParams.get('user')) throw new Error(`it names no user; ${problem}`);
  return text;
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function oneOf<T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((value) => value === text.toLowerCase());
    if (!found) throw new Error(`"${text}" is not one of ${values.join(', ')}`);
    return found;
  };
}

export const SERVE_OPTIONS = {
  upstream: {
    name: 'upstream',
    placeholder: 'URL',
    default: null,
    secret: true,
    text: 'The PostgreSQL server to front, as postgres://user:password@host:port/database. Clients use credentials of their own; this user is the one that captures changes: it needs REPLICATION and must own the tables of streams.',
    parse: parseUpstream,
  } satisfies OptionSpec<string>,
  listen: {
    name: 'listen',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:7432',
    text: 'Where SQL clients connect.',
    parse: parseTcpAddress,
  } satisfies OptionSpec<TcpAddress>,
  http: {
    name: 'http',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:7480',
    text: 'Where /metrics, /healthz and /readyz are served.',
    parse: parseTcpAddress,
  } satisfies OptionSpec<TcpAddress>,
  dataDir: {
    name: 'data-dir',
    placeholder: 'PATH',
    default: '.walhook',
    text: 'The folder of the catalog and the change log. One walhook at a time may use it.',
    parse: (text: string): string => text,
  } satisfies OptionSpec<string>,
  egressAllow: {
    name: 'egress-allow',
    placeholder: 'LIST',
    default: '',
    text: 'Networks (CIDR) and host names, separated by commas, that webhooks may reach although they are not public unicast addresses: 127.0.0.0/8,hooks.internal.',
    parse: parseList,
  } satisfies OptionSpec<readonly string[]>,
  logLevel: {
    name: 'log-level',
    placeholder: 'LEVEL',
    default: 'info',
    text: `How much is logged: ${LOG_LEVELS.join(', ')}.`,
    parse: oneOf<LogLevel>(LOG_LEVELS),
  } satisfies OptionSpec<LogLevel>,
  logFormat: {
    name: 'log-format',
    placeholder: 'FORMAT',
    default: 'auto',
    text: 'json, pretty, or auto: pretty on a terminal.',
    parse: oneOf(['auto', 'json', 'pretty'] as const),
  } satisfies OptionSpec<'auto' | 'json' | 'pretty'>,
};

type Specs = Readonly<Record<string, OptionSpec<unknown>>>;

/** The typed values of a set of options. */
export type Values<S extends Specs> = { readonly [K in keyof S]: ReturnType<S[K]['parse']> };

export type ServeConfig = Values<typeof SERVE_OPTIONS>;

export function environmentName(spec: OptionSpec<unknown>): string {
  return `WALHOOK_${spec.name.replaceAll('-', '_').toUpperCase()}`;
}

/** The options as the README shows them. */
export function optionTable(specs: Specs): string {
  const rows = Object.values(specs).map((spec) => {
    const fallback = spec.default === null ? '*required*' : spec.default === '' ? '–' : `\`${spec.default}\``;
    return `| \`--${spec.name} ${spec.placeholder}\` | \`${environmentName(spec)}\` | ${fallback} | ${spec.text} |`;
  });
  return ['| flag | environment | default | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
