import { PgError } from '../postgres/sqlstate.ts';
import { decodeStartupPacket, startupPacketLength } from '../wire/startup.ts';

export type StartupStep =
  /** Nothing to do until more has come. */
  | { readonly kind: 'wait' }
  /** Answer with this letter and go on. */
  | { readonly kind: 'refuse-encryption'; readonly answer: 'N' }
  | { readonly kind: 'cancel'; readonly packet: Buffer; readonly key: Buffer }
  /** `rest`: what the client sent behind the packet. */
  | {
      readonly kind: 'start';
      readonly packet: Buffer;
      readonly rest: Buffer;
      readonly parameters: ReadonlyMap<string, string>;
    };

const EMPTY = Buffer.alloc(0);

/**
 * What a client sends up to its startup packet: each of the two encryption requests at most once and in any order, then
 * a cancel request or the startup packet. Keeps at most one packet and the chunk that ended it.
 */
export class StartupReader {
  #bytes: Buffer = EMPTY;
  #askedSsl = false;
  #askedGssenc = false;

  /** Takes the next chunk (which is copied). FATAL 08P01 where it cannot go on. */
  read(chunk: Buffer): StartupStep {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const length = startupPacketLength(this.#bytes);
    if (length === null || this.#bytes.length < length) return { kind: 'wait' };
    const packet = this.#bytes.subarray(0, length);
    const rest = this.#bytes.subarray(length);
    const decoded = decodeStartupPacket(packet);
    switch (decoded.kind) {
      case 'ssl':
        this.#refuseRest(rest, 'SSL request', this.#askedSsl);
        this.#askedSsl = true;
        break;
      case 'gssenc':
        this.#refuseRest(rest, 'GSSAPI encryption request', this.#askedGssenc);
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

  /** As in Postgres: bytes from before a handshake may be another's, put in by whoever sits between (CVE-2021-23222). */
  #refuseRest(rest: Buffer, request: string, isRepeated: boolean): void {
    if (rest.length > 0) {
      throw new PgError('protocol_violation', `received unencrypted data after ${request}`, {
        severity: 'FATAL',
        detail: 'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
      });
    }
    if (isRepeated) throw new PgError('protocol_violation', `repeated ${request}`, { severity: 'FATAL' });
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
