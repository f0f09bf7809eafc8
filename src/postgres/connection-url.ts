/*
  postgresql://[user[:password]@][host[:port][,host[:port]…]][/database][?parameter=value[&…]]

  Everything may be percent-encoded; a plus sign is a plus sign. An IPv6 address stands in brackets. A parameter beats
  what the URL's other parts say of the same thing; `host` and `port` may be lists, and one port serves all hosts.
  https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
*/

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

const SESSION_ATTRS = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
/** What kind of server is wanted. */
export type SessionAttrs = (typeof SESSION_ATTRS)[number];

export interface UrlHost {
  /** A host name, an address, or the folder of a Unix socket (then it begins with a slash). */
  readonly host: string;
  readonly port: number;
}

/** A connection URL, taken apart. Defaults are libpq's. */
export interface ConnectionUrl {
  /** One at least. */
  readonly hosts: readonly UrlHost[];
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly sslMode: SslMode;
  readonly sslNegotiation: 'postgres' | 'direct';
  /** A file; `system`: the roots that the system trusts; null: none. */
  readonly sslRootCert: string | null;
  /** A file each, or neither. */
  readonly sslCert: string | null;
  readonly sslKey: string | null;
  readonly targetSessionAttrs: SessionAttrs;
  readonly loadBalanceHosts: 'disable' | 'random';
  /** For one address; null: not said. */
  readonly connectTimeoutSeconds: number | null;
}

/** A connection URL that cannot be used. Neither the problems nor the message show the URL: it may hold a password. */
export class UpstreamUrlError extends Error {
  override readonly name = 'UpstreamUrlError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

const FORM = 'write postgres://user:password@host:port/database';
const DEFAULT_PORT = 5432;
const MAX_CONNECT_TIMEOUT_SECONDS = 3_600;
const PARAMETERS = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'target_session_attrs',
  'load_balance_hosts',
  'connect_timeout',
] as const;
type Parameter = (typeof PARAMETERS)[number];

/** Throws `UpstreamUrlError` with everything that is wrong. Pure: files are not looked at. */
export function parseConnectionUrl(text: string): ConnectionUrl {
  return new UrlReader().read(text);
}

class UrlReader {
  readonly #problems: string[] = [];
  readonly #parameters = new Map<Parameter, string>();

  read(text: string): ConnectionUrl {
    const rest = /^postgres(?:ql)?:\/\/(.*)$/s.exec(text)?.[1];
    if (rest === undefined) {
      const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
      const problem = scheme === undefined ? 'it is no URL' : `"${scheme}://" is no scheme of PostgreSQL's`;
      throw new UpstreamUrlError([`${problem}; ${FORM}`]);
    }
    const { userInfo, hosts, database, query } = split(rest);
    for (const part of query === undefined || query === '' ? [] : query.split('&')) this.#parameter(part);
    const colon = userInfo.indexOf(':');
    const user = this.#value('user', colon === -1 ? userInfo : userInfo.slice(0, colon));
    if (user === undefined) this.#problems.push(`it names no user; ${FORM}`);
    const url: ConnectionUrl = {
      hosts: this.#hosts(hosts),
      user: user ?? '',
      password: this.#value('password', colon === -1 ? '' : userInfo.slice(colon + 1)),
      database: this.#value('dbname', database) ?? user ?? '',
      ...this.#tls(),
      targetSessionAttrs: this.#oneOf('target_session_attrs', SESSION_ATTRS, 'any'),
      loadBalanceHosts: this.#oneOf('load_balance_hosts', ['disable', 'random'], 'disable'),
      connectTimeoutSeconds: this.#connectTimeout(),
    };
    if (this.#problems.length > 0) throw new UpstreamUrlError(this.#problems);
    return url;
  }

  #parameter(part: string): void {
    const [name = '', value, ...more] = part.split('=');
    const decodedName = this.#decode(name, 'a parameter name');
    const known = PARAMETERS.find((each) => each === decodedName);
    if (value === undefined || more.length > 0) {
      // Not shown: what lacks its name may be a password with an unescaped "&".
      this.#problems.push('a parameter is not written name=value');
    } else if (known === undefined) {
      // The same holds for what does not look like a name.
      const shown = /^[a-z_]{1,63}$/i.test(decodedName) ? `"${decodedName}"` : 'with a malformed name';
      this.#problems.push(`there is no parameter ${shown}; there are ${PARAMETERS.join(', ')}`);
    } else if (this.#parameters.has(known)) {
      this.#problems.push(`the parameter ${known} is given twice`);
    } else {
      this.#parameters.set(known, this.#decode(value, known));
    }
  }

  /** The parameter, or what another part of the URL says. An empty one counts as absent. */
  #value(name: Parameter, inUrl: string): string | undefined {
    const value = this.#parameters.get(name) ?? this.#decode(inUrl, name);
    return value === '' ? undefined : value;
  }

  #text(name: Parameter): string | null {
    return this.#value(name, '') ?? null;
  }

  #decode(text: string, what: string): string {
    try {
      const decoded = decodeURIComponent(text);
      if (!decoded.includes('\0')) return decoded;
    } catch {
      // Said below.
    }
    this.#problems.push(`${what}: malformed percent-encoding`);
    return '';
  }

  #hosts(hostSpec: string): readonly UrlHost[] {
    const written = hostSpec === '' ? [] : hostSpec.split(',').map((one) => this.#hostAndPort(one));
    const hosts = this.#parameters.get('host')?.split(',') ?? written.map(({ host }) => host);
    const ports = this.#parameters.get('port')?.split(',') ?? written.map(({ port }) => port);
    if (hosts.every((host) => host === '')) {
      this.#problems.push(`it names no host; ${FORM}`);
      return [];
    }
    if (hosts.includes('')) this.#problems.push('a host in the list is empty');
    if (ports.length > 1 && ports.length !== hosts.length) {
      this.#problems.push(`there are ${hosts.length} hosts but ${ports.length} ports`);
      return [];
    }
    return hosts.map((host, index) => ({ host, port: this.#port(ports.length === 1 ? ports[0]! : ports[index]) }));
  }

  #hostAndPort(text: string): { host: string; port: string } {
    const match = /^(?:\[([0-9A-Fa-f:.]+(?:%25[^\]]+)?)\]|([^:[\]@]*))(?::([^:[\]@]*))?$/s.exec(text);
    if (match === null) {
      this.#problems.push('a host is malformed; an IPv6 address stands in brackets');
      return { host: 'malformed', port: '' };
    }
    return { host: this.#decode(match[1] ?? match[2] ?? '', 'host'), port: this.#decode(match[3] ?? '', 'port') };
  }

  #port(text: string | undefined): number {
    if (text === undefined || text === '') return DEFAULT_PORT;
    const port = Number(text);
    if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) {
      this.#problems.push('a port is no number from 1 to 65535');
    }
    return port;
  }

  #tls(): Pick<ConnectionUrl, 'sslMode' | 'sslNegotiation' | 'sslRootCert' | 'sslCert' | 'sslKey'> {
    const sslRootCert = this.#text('sslrootcert');
    const sslCert = this.#text('sslcert');
    const sslKey = this.#text('sslkey');
    const sslMode = this.#oneOf('sslmode', SSL_MODES, sslRootCert === 'system' ? 'verify-full' : 'prefer');
    const sslNegotiation = this.#oneOf('sslnegotiation', ['postgres', 'direct'], 'postgres');
    if (sslNegotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(sslMode)) {
      this.#problems.push(`sslnegotiation=direct needs sslmode require, verify-ca or verify-full, not ${sslMode}`);
    }
    if (sslRootCert === 'system' && sslMode !== 'verify-full') {
      // Anyone can have a certificate from one of those.
      this.#problems.push(`sslrootcert=system needs sslmode verify-full, not ${sslMode}`);
    }
    if (sslRootCert === null && sslMode === 'verify-ca') this.#problems.push('sslmode verify-ca needs sslrootcert');
    if ((sslCert === null) !== (sslKey === null)) this.#problems.push('sslcert and sslkey go together');
    return { sslMode, sslNegotiation, sslRootCert, sslCert, sslKey };
  }

  #oneOf<T extends string>(name: Parameter, values: readonly T[], fallback: T): T {
    const text = this.#text(name);
    if (text === null) return fallback;
    const found = values.find((value) => value === text);
    if (found === undefined) this.#problems.push(`${name} must be one of ${values.join(', ')}`);
    return found ?? fallback;
  }

  #connectTimeout(): number | null {
    const text = this.#text('connect_timeout');
    if (text === null) return null;
    const seconds = Number(text);
    if (!/^\d{1,9}$/.test(text) || seconds < 1 || seconds > MAX_CONNECT_TIMEOUT_SECONDS) {
      this.#problems.push(`connect_timeout must be a number of seconds from 1 to ${MAX_CONNECT_TIMEOUT_SECONDS}`);
      return null;
    }
    return seconds;
  }
}

/** As libpq finds the parts: user and password end at the first "@" that comes before a "/". */
function split(rest: string): { userInfo: string; hosts: string; database: string; query: string | undefined } {
  const at = /^[^@/]*@/.exec(rest)?.[0].length ?? 0;
  const match = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest.slice(at))!;
  return { userInfo: rest.slice(0, Math.max(0, at - 1)), hosts: match[1]!, database: match[2] ?? '', query: match[3] };
}
