import { isIP } from 'node:net';

/** What the rules look at. */
export interface RequestFacts {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Whether an address that a listener is bound to is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (plain === 'localhost' || plain === '::1') return true;
  return isIP(plain) === 4 && plain.startsWith('127.');
}

/**
 * Whether the Host header names this machine. A page of somebody else's whose name resolves to a loopback address (DNS
 * rebinding) sends its own name here, and is the same origin to the browser.
 */
export function namesLoopback(hostHeader: string | undefined): boolean {
  if (hostHeader === undefined) return false;
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(hostHeader);
  return match !== null && isLoopback(match[1]!);
}

const FORWARDED = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

/** Whether a proxy has passed the request on: then it says nothing of where the browser is. */
export function isForwarded({ headers }: RequestFacts): boolean {
  return FORWARDED.some((name) => headers[name] !== undefined);
}

/**
 * Why a request to the console's API was not sent by the console's own page, or null. Browsers say where a request comes
 * from in Sec-Fetch-Site, and in the Origin of every POST; what changes something has to have one.
 * https://www.w3.org/TR/fetch-metadata/ https://fetch.spec.whatwg.org/#origin-header
 */
export function foreignRequest({ method, headers }: RequestFacts): string | null {
  const isReading = method === 'GET' || method === 'HEAD';
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && !(site === 'none' && isReading)) {
    return 'the request comes from another site';
  }
  const { origin, host } = headers;
  if (origin === undefined) return isReading ? null : 'the request does not say where it comes from (Origin)';
  if (typeof origin !== 'string' || typeof host !== 'string' || !isOriginOf(origin, host)) {
    return 'the request comes from another origin';
  }
  return null;
}

function isOriginOf(origin: string, host: string): boolean {
  const match = /^https?:\/\/([^/]+)$/i.exec(origin);
  return match !== null && match[1]!.toLowerCase() === host.toLowerCase();
}

/** The value of a cookie, or null. https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1 */
export function cookieOf({ headers }: RequestFacts, name: string): string | null {
  const header = headers.cookie;
  if (typeof header !== 'string') return null;
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    if (equals !== -1 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim();
  }
  return null;
}
