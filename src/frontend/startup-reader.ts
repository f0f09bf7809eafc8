import { PgError } from '../postgres/sqlstate.ts';
import { decodeStartupPacket, startupPacketLength } from '../wire/startup.ts';

export type StartupStep =
  /** Nothing to do until more has come. */
  | { readonly kind: 'wait' }
  /** Answer with this letter and go on. */
  | { readonly kind: 'refuse-encryption'; readonly answer: 'N' }
  /** Answer with this letter, if any, and begin the handshake. `first`: what has been read of it; null for nothing. */
  | { readonly kind: 'start-tls'; readonly answer: 'S' | null; readonly first: Buffer | null }
  | { readonly kind: 'cancel'; readonly packet: Buffer; readonly key: Buffer }
  /** `rest`: what the client sent behind the packet. */
  | {
      readonly kind: 'start';
      readonly packet: Buffer;
      readonly rest: Buffer;
      readonly parameters: ReadonlyMap<string, string>;
    };

const EMPTY = Buffer.alloc(0);
/** TLS's first byte; a startup packet that began so would be too long. */
const TLS_HANDSHAKE = 0x16;
const CODES = { ssl: '1234.5679', gssenc: '1234.5680' };

/**
 * What a client sends up to its startup packet: each of the two encryption requests at most once and in any order, then
 * a cancel request or the startup packet; TLS may also begin at once. Inside TLS there is no other encryption. Keeps at
 * most one packet and the chunk that ended it.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
 */
export class StartupReader {
  readonly #offersTls: boolean;
  #bytes: Buffer = EMPTY;
  #isFirst = true;
  #askedSsl = false;
  #askedGssenc = false;

  constructor(offersTls: boolean) {
    this.#offersTls = offersTls;
  }

  /** Takes the next chunk (which is copied). FATAL 08P01 where it cannot go on. */
  read(chunk: Buffer): StartupStep {
    if (this.#isFirst && this.#offersTls && chunk[0] === TLS_HANDSHAKE) {
      return this.#startTls(null, Buffer.from(chunk));
    }
    this.#isFirst = false;
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const length = startupPacketLength(this.#bytes);
    if (length === null || this.#bytes.length < length) return { kind: 'wait' };
    const packet = this.#bytes.subarray(0, length);
    const rest = this.#bytes.subarray(length);
    const decoded = decodeStartupPacket(packet);
    switch (decoded.kind) {
      case 'ssl':
        this.#refuseRest(rest, 'SSL request', this.#askedSsl, CODES.ssl);
        this.#askedSsl = true;
        this.#bytes = EMPTY;
        if (this.#offersTls) return this.#startTls('S', null);
        break;
      case 'gssenc':
        this.#refuseRest(rest, 'GSSAPI encryption request', this.#askedGssenc, CODES.gssenc);
        this.#askedGssenc = true;
        break;
      case 'cancel':
        return { kind: 'cancel', packet, key: decoded.key };
      case 'startup':
        return { kind: 'start', packet, rest, parameters: decoded.parameters };
    }
    this.#bytes = EMPTY;
    return { kind: 'refuse-encryption', answer: 'N' };
  }

  #startTls(answer: 'S' | null, first: Buffer | null): StartupStep {
    this.#isFirst = false;
    this.#askedSsl = true;
    this.#askedGssenc = true;
    return { kind: 'start-tls', answer, first };
  }

  /** As in Postgres: bytes from before a handshake may be another's, put in by whoever sits between (CVE-2021-23222). */
  #refuseRest(rest: Buffer, request: string, isRepeated: boolean, code: string): void {
    if (rest.length > 0) {
      throw new PgError('protocol_violation', `received unencrypted data after ${request}`, {
        severity: 'FATAL',
        detail: 'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
      });
    }
    if (!isRepeated) return;
    // A server takes the second for what else it could be: a startup packet of a version that there is not.
    throw new PgError('feature_not_supported', `unsupported frontend protocol ${code}: repeated ${request}`, {
      severity: 'FATAL',
    });
  }
}

/**
 * Whether the startup packet asks for a replication session, whose messages are not those of queries. Postgres takes
 * `database` or a boolean; what is neither is refused there, so it does not matter here.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
export function asksForReplication(parameters: ReadonlyMap<string, string>): boolean {
  const value = parameters.get('replication');
  if (value === undefined || value === '') return false;
  return !/^(0|f(a(l(s(e)?)?)?)?|n(o)?|of(f)?)$/i.test(value);
}
