import type { OptionSpec } from '../config/option-spec.ts';
import { SERVE_OPTIONS, parseTcpAddress, type TcpAddress } from '../config/options.ts';

const { http, logLevel, logFormat } = SERVE_OPTIONS;

/** The demo's options: those of `serve` that make sense with a PostgreSQL of its own, and the receiver's address. */
export const START_OPTIONS = {
  listen: {
    ...SERVE_OPTIONS.listen,
    placeholder: 'HOST:PORT',
    text: 'Where SQL clients connect.',
    parse: parseTcpAddress,
  } satisfies OptionSpec<TcpAddress>,
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
    // Not that of `serve`, in whose folder the demo's streams would otherwise be.
    default: '.walhook-demo',
    text: 'The folder of the demo: its PostgreSQL, the catalog and the change log; kept between starts.',
  },
  logLevel: { ...logLevel, default: 'warn' },
  logFormat,
};
