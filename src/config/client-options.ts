import { count, duration, oneOf, type OptionSpec } from './option-spec.ts';

const TLS_MODES = ['disable', 'allow', 'require', 'verify-ca', 'verify-full'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

const path = (text: string): string | null => (text === '' ? null : text);

/** What concerns the connections of SQL clients. */
export const CLIENT_OPTIONS = {
  tlsMode: {
    name: 'tls-mode',
    placeholder: 'MODE',
    default: '',
    text: `TLS for clients that come by TCP: ${TLS_MODES.join(', ')}. allow leaves it to the client; verify-ca also wants a client certificate signed by --tls-client-ca, and verify-full one whose common name (CN) is the user's. Without it: allow where there is a certificate, else disable.`,
    parse: (text: string): TlsMode | null => (text === '' ? null : oneOf(TLS_MODES)(text)),
  } satisfies OptionSpec<TlsMode | null>,
  tlsCert: {
    name: 'tls-cert',
    placeholder: 'FILE',
    default: '',
    text: 'The certificate to show to clients, in PEM, with its chain. The files are read again when they change, and on SIGHUP.',
    parse: path,
  } satisfies OptionSpec<string | null>,
  tlsKey: {
    name: 'tls-key',
    placeholder: 'FILE',
    default: '',
    text: 'The key of --tls-cert, in PEM, without a passphrase.',
    parse: path,
  } satisfies OptionSpec<string | null>,
  tlsClientCa: {
    name: 'tls-client-ca',
    placeholder: 'FILE',
    default: '',
    text: "Who signs clients' certificates, in PEM. Clients are then asked for one, and a bad one is refused.",
    parse: path,
  } satisfies OptionSpec<string | null>,
  maxClients: {
    name: 'max-clients',
    placeholder: 'COUNT',
    default: '10000',
    reloads: true,
    text: 'Clients at the same time. Further ones are refused (53300); cancel requests do not count.',
    parse: count(1, 1_000_000),
  } satisfies OptionSpec<number>,
  connectionRate: {
    name: 'connection-rate',
    placeholder: 'COUNT',
    default: '0',
    reloads: true,
    text: 'Connections a second that one client address (an IPv6 network of 64 bits is one) may go on making by TCP; 0: no limit.',
    parse: count(0, 1_000_000),
  } satisfies OptionSpec<number>,
  connectionBurst: {
    name: 'connection-burst',
    placeholder: 'COUNT',
    default: '100',
    reloads: true,
    text: 'Connections that an address may make at once before --connection-rate holds it back.',
    parse: count(1, 1_000_000),
  } satisfies OptionSpec<number>,
  authenticationTimeout: {
    name: 'authentication-timeout',
    placeholder: 'DURATION',
    default: '30s',
    reloads: true,
    text: 'From the connection of a client to the end of its authentication, TLS included.',
    parse: duration(1),
  } satisfies OptionSpec<number>,
  clientIdleTimeout: {
    name: 'client-idle-timeout',
    placeholder: 'DURATION',
    default: '0',
    reloads: true,
    text: 'After how long a session is ended (57P05) whose client sends nothing outside a transaction; 0: never.',
    parse: duration(0),
  } satisfies OptionSpec<number>,
  tcpKeepalive: {
    name: 'tcp-keepalive',
    placeholder: 'DURATION',
    default: '60s',
    reloads: true,
    text: 'After how much silence the kernel begins to ask whether the other side of a TCP connection is still there, on both sides of walhook; 0: as the system does.',
    parse: duration(0),
  } satisfies OptionSpec<number>,
};
