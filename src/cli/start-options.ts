import { SERVE_OPTIONS, parseTcpAddress, type OptionSpec, type TcpAddress } from '../config/options.ts';

const { listen, http, logLevel, logFormat } = SERVE_OPTIONS;

/** The demo's options: those of `serve` that make sense with a PostgreSQL of its own, and the receiver's address. */
export const START_OPTIONS = {
  listen,
  http,
  receiver: {
    name: 'receiver',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:7490',
    text: 'Where the demo receiver takes webhooks.',
    parse: parseTcpAddress,
  } satisfies OptionSpec<TcpAddress>,
  dataDir: {
    ...SERVE_OPTIONS.dataDir,
    text: 'The folder of the demo: its PostgreSQL, the catalog and the change log; kept between starts.',
  },
  logLevel: { ...logLevel, default: 'warn' },
  logFormat,
};
