import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { checkIdentity, encryptionRequired, identityOf, type ClientTls } from './client-tls.ts';
import { AddressRate, type RateLimits } from '../base/address-rate.ts';

/** Why walhook itself turns connections away. */
export const REFUSALS = [
  'max_clients',
  'connection_rate',
  'tls_required',
  'tls_handshake',
  'client_certificate',
] as const;
export type RefusalReason = (typeof REFUSALS)[number];

/** What may change while it runs. */
export interface AdmissionLimits {
  /** Clients at the same time, from their startup packets on. */
  readonly maxClients: number;
  /** Null: no limit. */
  readonly connectionRate: RateLimits | null;
}

export interface AdmissionOptions extends AdmissionLimits {
  readonly tls: ClientTls | null;
  readonly clock: Clock;
}

/** Connections that have sent no startup packet yet may be this many at least, whatever `maxClients` is. */
const LEAST_PENDING = 100;

/** Decides who is let in, and counts who is not. */
export class Admission {
  readonly #options: AdmissionOptions;
  #maxClients: number;
  #rate: AddressRate | null = null;
  #rateLimits: RateLimits | null = null;
  readonly #clients = new Set<object>();
  readonly #refused = new Map<RefusalReason, number>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#maxClients = options.maxClients;
    this.configure(options);
  }

  /** For who comes from now on. What addresses have used up is forgotten where their limit is another one. */
  configure({ maxClients, connectionRate }: AdmissionLimits): void {
    this.#maxClients = maxClients;
    const { perSecond, burst } = this.#rateLimits ?? {};
    if (perSecond === connectionRate?.perSecond && burst === connectionRate?.burst) return;
    this.#rateLimits = connectionRate;
    this.#rate = connectionRate && new AddressRate(connectionRate);
  }

  get refused(): ReadonlyMap<RefusalReason, number> {
    return this.#refused;
  }

  count(reason: RefusalReason): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  /**
   * Whether a new connection may say what it wants; `open` are those that there are. Beyond the limit of clients there
   * is room for as many again that have not said it, so that a cancel request gets through when all places are taken.
   */
  connection(socket: Socket, isLocal: boolean, open: number): PgError | null {
    const { clock } = this.#options;
    if (open - this.#clients.size >= Math.max(LEAST_PENDING, this.#maxClients)) return this.#tooManyClients();
    if (isLocal || !this.#rate || this.#rate.admits(socket.remoteAddress ?? '', clock.monotonicMs())) return null;
    this.count('connection_rate');
    return new PgError('too_many_connections', 'too many connections from this address in a short time', {
      severity: 'FATAL',
      hint: 'Connect again later, or keep connections open. --connection-rate and --connection-burst are the limits.',
    });
  }

  /** Takes in a client that has sent its startup packet. Throws the FATAL error for one that must stay outside. */
  client(session: object, socket: Socket, isLocal: boolean, parameters: ReadonlyMap<string, string>): void {
    if (!isLocal) this.#checkChannel(socket, parameters);
    if (this.#clients.size >= this.#maxClients) throw this.#tooManyClients();
    this.#clients.add(session);
  }

  gone(session: object): void {
    this.#clients.delete(session);
  }

  #checkChannel(socket: Socket, parameters: ReadonlyMap<string, string>): void {
    const { tls } = this.#options;
    if (!tls) return;
    const user = bytesOf(parameters.get('user') ?? '');
    const identity = identityOf(socket);
    if (!identity && tls.mode !== 'allow') {
      this.count('tls_required');
      const database = parameters.has('database') ? bytesOf(parameters.get('database')!) : user;
      throw encryptionRequired(socket.remoteAddress ?? '', user.toString(), database.toString());
    }
    try {
      checkIdentity(tls.mode, identity, user);
    } catch (error) {
      this.count('client_certificate');
      throw error;
    }
  }

  #tooManyClients(): PgError {
    this.count('max_clients');
    return new PgError('too_many_connections', 'sorry, too many clients already', {
      severity: 'FATAL',
      detail: `walhook lets ${this.#maxClients} clients in at the same time (--max-clients).`,
    });
  }
}

/** A startup parameter, which has been read byte for byte. */
function bytesOf(latin1: string): Buffer {
  return Buffer.from(latin1, 'latin1');
}
