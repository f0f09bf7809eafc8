import { parseKeyText } from '../base/key-text.ts';
import { LOG_LEVELS, type LogLevel } from '../base/logger.ts';
import { parseConnectionUrl } from '../postgres/connection-url.ts';
import { CLIENT_OPTIONS } from './client-options.ts';
import { duration, oneOf, type OptionSpec } from './option-spec.ts';

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

/** The text itself, which each thread reads again; throws `UpstreamUrlError`, which never shows it. */
function parseUpstream(text: string): string {
  parseConnectionUrl(text);
  return text;
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

const BYTES = /^(\d{1,15}) ?(B|kB|MB|GB|TB)?$/;
const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };

/** Bytes, with one of PostgreSQL's units or none. */
export function parseBytes(text: string): number {
  const match = BYTES.exec(text.trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? 'B'] ?? 1);
  if (!Number.isSafeInteger(bytes)) throw new Error(`"${text}" is no size; write bytes, or as in 512MB, 20GB`);
  return bytes;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text.trim())) throw new Error(`"${text}" is no whole number`);
  return Number(text);
}

/** Where to listen: TCP, or a unix socket's path. */
export type ListenAddress = TcpAddress | { readonly path: string };

/** The kernel's limit for a socket's path, with the zero that ends it. */
const MAX_SOCKET_PATH_BYTES = 107;
const SOCKET_NAME = '.s.PGSQL.7432';

/** A list of TCP addresses and absolute paths; a path that ends in `/` is the folder of a socket named as clients expect. */
export function parseListen(text: string): readonly ListenAddress[] {
  const entries = parseList(text);
  if (entries.length === 0)
    throw new Error('it names no address; write host:port, or the absolute path of a unix socket');
  return entries.map((entry) => {
    if (!entry.startsWith('/')) return parseTcpAddress(entry);
    const path = entry.endsWith('/') ? `${entry}${SOCKET_NAME}` : entry;
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
      throw new Error(`"${path}" is too long for a socket: ${MAX_SOCKET_PATH_BYTES} bytes at most`);
    }
    return { path };
  });
}

const CONFIG_OPTION = {
  name: 'config',
  placeholder: 'PATH',
  default: '',
  text: 'A file of lines WALHOOK_NAME=value, which flags and the environment go before. Where it holds a password or a key, it may not be readable for everybody.',
  parse: (text: string): string => text,
} satisfies OptionSpec<string>;

const CONSOLE_MODES = ['view', 'open', 'sign-in', 'off'] as const;
export type ConsoleMode = (typeof CONSOLE_MODES)[number];

const MIN_TOKEN_LENGTH = 16;
const MAX_TOKEN_LENGTH = 1_024;

/** The token is in no message. */
function parseToken(text: string): string | null {
  if (text === '') return null;
  if (text.length < MIN_TOKEN_LENGTH || text.length > MAX_TOKEN_LENGTH) {
    throw new Error(`it has ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} characters`);
  }
  return text;
}

/** Every option once. */
export const SERVE_OPTIONS = {
  config: CONFIG_OPTION,
  upstream: {
    name: 'upstream',
    placeholder: 'URL',
    default: null,
    secret: true,
    text: 'The PostgreSQL server to front, as postgres://user:password@host:port/database?sslmode=verify-full; several hosts may be given, separated by commas. Clients use credentials of their own; this user is the one that captures changes, also in other databases of the server: it needs REPLICATION and must own the tables of streams.',
    parse: parseUpstream,
  } satisfies OptionSpec<string>,
  listen: {
    name: 'listen',
    placeholder: 'LIST',
    default: '127.0.0.1:7432',
    text: 'Where SQL clients connect: TCP addresses (host:port) and paths of unix sockets, separated by commas. A path that ends in / is a folder, whose socket is .s.PGSQL.7432.',
    parse: parseListen,
  } satisfies OptionSpec<readonly ListenAddress[]>,
  ...CLIENT_OPTIONS,
  http: {
    name: 'http',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:7480',
    text: 'Where the console, /metrics, /healthz and /readyz are served.',
    parse: parseTcpAddress,
  } satisfies OptionSpec<TcpAddress>,
  console: {
    name: 'console',
    placeholder: 'MODE',
    default: 'view',
    text: 'Who gets into the console without signing in, where --http is a loopback address: sign-in (nobody), view (anybody on this machine, to look at states and definitions, but not at what events have in them, and to do nothing) or open (anybody on this machine, as the user of --upstream). On any other address everybody signs in. off: there is no console.',
    parse: oneOf<ConsoleMode>(CONSOLE_MODES),
  } satisfies OptionSpec<ConsoleMode>,
  consoleToken: {
    name: 'console-token',
    placeholder: 'TOKEN',
    default: '',
    reloads: true,
    secret: true,
    text: 'Whoever signs in to the console with it acts as the user of --upstream: 16 characters or more (`openssl rand -base64 24`). With it or without, one may sign in as any role of the upstream that has a password.',
    parse: parseToken,
  } satisfies OptionSpec<string | null>,
  dataDir: {
    name: 'data-dir',
    placeholder: 'PATH',
    default: '.walhook',
    text: 'The folder of the catalog and the change log. One walhook at a time may use it.',
    parse: (text: string): string => text,
  } satisfies OptionSpec<string>,
  secretKey: {
    name: 'secret-key',
    placeholder: 'BASE64',
    default: '',
    secret: true,
    text: 'What stored secrets are encrypted with: 32 bytes in base64 (`openssl rand -base64 32`). Where neither this nor --secret-key-file is given, a key is made in the data directory, as secret.key. To change it: `walhook rotate-secret-key`.',
    parse: (text: string): Buffer | null => (text === '' ? null : parseKeyText(text)),
  } satisfies OptionSpec<Buffer | null>,
  secretKeyFile: {
    name: 'secret-key-file',
    placeholder: 'PATH',
    default: '',
    text: 'A file with that key in base64, which nobody else may read (mode 0600).',
    parse: (text: string): string => text,
  } satisfies OptionSpec<string>,
  requireEndpoint: {
    name: 'require-endpoint',
    placeholder: 'MODE',
    default: 'off',
    reloads: true,
    text: 'off, or on: streams send to endpoints (CREATE CDC ENDPOINT) alone, a URL in a statement is refused, and only superusers and members of the role cdc_admin define endpoints.',
    parse: (text: string): boolean => oneOf(['on', 'off'] as const)(text) === 'on',
  } satisfies OptionSpec<boolean>,
  validate: {
    name: 'validate',
    placeholder: 'MODE',
    default: 'on',
    reloads: true,
    text: 'on, or off: whether a stream’s endpoint is sent a test event when it becomes the stream’s, where the stream does not say (option validate).',
    parse: (text: string): boolean => oneOf(['on', 'off'] as const)(text) === 'on',
  } satisfies OptionSpec<boolean>,
  egressAllow: {
    name: 'egress-allow',
    placeholder: 'LIST',
    default: '',
    reloads: true,
    text: 'Networks (CIDR) and host names, separated by commas, that endpoints and brokers may have although they are not public unicast addresses: 127.0.0.0/8,hooks.internal.',
    parse: parseList,
  } satisfies OptionSpec<readonly string[]>,
  logMaxBytes: {
    name: 'log-max-bytes',
    placeholder: 'BYTES',
    default: '0',
    reloads: true,
    text: 'How large the change log of a database may become, as in 20GB; 0: as large as the disk. Above it nothing more is read from the upstream, which keeps its WAL, until some of it is delivered.',
    parse: parseBytes,
  } satisfies OptionSpec<number>,
  backfillMaxRowsPerSecond: {
    name: 'backfill-max-rows-per-second',
    placeholder: 'N',
    default: '0',
    reloads: true,
    text: 'How fast backfills read, all of one database together; 0: as fast as they can.',
    parse: parseCount,
  } satisfies OptionSpec<number>,
  logLevel: {
    name: 'log-level',
    placeholder: 'LEVEL',
    default: 'info',
    reloads: true,
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

/** The options of `rotate-secret-key`: what opens the secrets now, and what is to open them afterwards. */
export const ROTATE_OPTIONS = {
  config: CONFIG_OPTION,
  dataDir: SERVE_OPTIONS.dataDir,
  secretKey: SERVE_OPTIONS.secretKey,
  secretKeyFile: SERVE_OPTIONS.secretKeyFile,
  newSecretKey: {
    ...SERVE_OPTIONS.secretKey,
    name: 'new-secret-key',
    text: 'The key to encrypt with from now on: 32 bytes in base64.',
  } satisfies OptionSpec<Buffer | null>,
  newSecretKeyFile: {
    ...SERVE_OPTIONS.secretKeyFile,
    name: 'new-secret-key-file',
    text: 'A file with the new key in base64, which nobody else may read (mode 0600).',
  } satisfies OptionSpec<string>,
};

/** The options of `check`, and of `doctor`, which opens the data directory besides. */
export const CHECK_OPTIONS = { config: CONFIG_OPTION, upstream: SERVE_OPTIONS.upstream };
export const DOCTOR_OPTIONS = {
  config: CONFIG_OPTION,
  upstream: SERVE_OPTIONS.upstream,
  dataDir: SERVE_OPTIONS.dataDir,
  secretKey: SERVE_OPTIONS.secretKey,
  secretKeyFile: SERVE_OPTIONS.secretKeyFile,
};

/** The options of commands that speak to a walhook as its clients do. */
export const CLIENT_COMMAND_OPTIONS = {
  url: {
    name: 'url',
    placeholder: 'URL',
    default: null,
    secret: true,
    text: "Where walhook's clients connect, as postgres://user:password@host:7432/database; the password may come from PGPASSWORD.",
    parse: (text: string): string => {
      // A URL has a password in it, so it is in no message.
      if (!/^postgres(ql)?:\/\/./.test(text)) {
        throw new Error('it is no URL of a server; write postgres://user@host:port/database');
      }
      return text;
    },
  } satisfies OptionSpec<string>,
};

/** The options of `wait`. */
export const WAIT_OPTIONS = {
  ...CLIENT_COMMAND_OPTIONS,
  timeout: {
    name: 'timeout',
    placeholder: 'DURATION',
    default: '0',
    text: 'How long to wait, as in 30s or 2h; 0: as long as it takes.',
    parse: duration(0),
  } satisfies OptionSpec<number>,
};

type Specs = Readonly<Record<string, OptionSpec<unknown>>>;

/** The typed values of a set of options. */
export type Values<S extends Specs> = { readonly [K in keyof S]: ReturnType<S[K]['parse']> };

export type ServeConfig = Values<typeof SERVE_OPTIONS>;

export function environmentName(spec: Pick<OptionSpec<unknown>, 'name'>): string {
  return `WALHOOK_${spec.name.replaceAll('-', '_').toUpperCase()}`;
}

/** What an option is, and whether a running walhook takes another value of it. */
export function optionText({ text, reloads }: OptionSpec<unknown>): string {
  return reloads === true ? `${text} (SIGHUP)` : text;
}

/** The options as docs/ shows them. */
export function optionTable(specs: Specs): string {
  const rows = Object.values(specs).map((spec) => {
    const fallback = spec.default === null ? '*required*' : spec.default === '' ? '–' : `\`${spec.default}\``;
    return `| \`--${spec.name} ${spec.placeholder}\` | \`${environmentName(spec)}\` | ${fallback} | ${optionText(spec)} |`;
  });
  return ['| flag | environment | default | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
