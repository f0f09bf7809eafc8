import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { CLIENT_OPTIONS, TlsMode } from '../config/client-options.ts';
import { ConfigError } from '../config/load.ts';
import type { ServeConfig, Values } from '../config/options.ts';
import { ClientTls, type ClientTlsMode } from '../frontend/client-tls.ts';
import type { FrontendLimits } from '../frontend/frontend.ts';
import { loadTlsFiles, TlsFilesError, type TlsFiles } from '../frontend/tls-files.ts';
import { EgressRuleError, parseEgressAllow } from '../sinks/address-guard.ts';

type ClientConfig = Values<typeof CLIENT_OPTIONS>;
type TlsConfig = Pick<ClientConfig, 'tlsMode' | 'tlsCert' | 'tlsKey' | 'tlsClientCa'>;

/** All that is wrong with options of `serve` together, and with what they name. */
export function serveProblems(config: Partial<ServeConfig>): readonly string[] {
  return [...clientTlsProblems(config), ...egressProblems(config.egressAllow ?? [])];
}

/** The delivery thread reads the entries; that they can be read is found out before anything starts. */
function egressProblems(entries: readonly string[]): readonly string[] {
  try {
    parseEgressAllow(entries);
    return [];
  } catch (error) {
    if (!(error instanceof EgressRuleError)) throw error;
    return [`--egress-allow: ${error.message}`];
  }
}

/** All that is wrong with the options of TLS for clients, and with the files that they name. */
function clientTlsProblems(config: Partial<TlsConfig>): readonly string[] {
  const { tlsMode = null, tlsCert = null, tlsKey = null, tlsClientCa = null } = config;
  const problems: string[] = [];
  if (tlsCert === null && tlsKey !== null) problems.push('--tls-key: it needs --tls-cert, the certificate of the key');
  if (tlsCert !== null && tlsKey === null) problems.push('--tls-cert: it needs --tls-key, the key of the certificate');
  if (tlsMode !== null && tlsMode !== 'disable' && tlsCert === null) {
    problems.push(`--tls-mode: ${tlsMode} needs a certificate, by --tls-cert and --tls-key`);
  }
  if ((tlsMode === 'verify-ca' || tlsMode === 'verify-full') && tlsClientCa === null) {
    problems.push(`--tls-mode: ${tlsMode} needs --tls-client-ca, who signs clients' certificates`);
  }
  if (tlsClientCa !== null && tlsCert === null) {
    problems.push('--tls-client-ca: it needs TLS, by --tls-cert and --tls-key');
  }
  const files = filesOf(config);
  if (!files) return problems;
  try {
    loadTlsFiles(files);
  } catch (error) {
    if (!(error instanceof TlsFilesError)) throw error;
    problems.push(...error.problems);
  }
  return problems;
}

/** Null where TLS is not wanted. Throws `ConfigError` for what `clientTlsProblems` finds. */
export function openClientTls(config: TlsConfig, clock: Clock, logger: Logger): ClientTls | null {
  const problems = clientTlsProblems(config);
  if (problems.length > 0) throw new ConfigError(problems);
  const files = filesOf(config);
  const mode = modeOf(config.tlsMode);
  return files && mode ? new ClientTls(mode, files, clock, logger) : null;
}

/** The options as the frontend has them. */
export function clientLimits(config: ClientConfig): Partial<FrontendLimits> {
  return {
    authenticationTimeoutMs: config.authenticationTimeout,
    maxClients: config.maxClients,
    connectionRate:
      config.connectionRate === 0 ? null : { perSecond: config.connectionRate, burst: config.connectionBurst },
    clientIdleTimeoutMs: config.clientIdleTimeout,
    tcpKeepaliveMs: config.tcpKeepalive,
  };
}

function filesOf({ tlsCert, tlsKey, tlsClientCa }: Partial<TlsConfig>): TlsFiles | null {
  return tlsCert && tlsKey ? { certFile: tlsCert, keyFile: tlsKey, clientCaFile: tlsClientCa ?? null } : null;
}

function modeOf(mode: TlsMode | null): ClientTlsMode | null {
  return mode === 'disable' ? null : (mode ?? 'allow');
}
