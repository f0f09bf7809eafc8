import { dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import {
  SqlError,
  type Access,
  type SqlAccount,
  type SqlConnection,
  type SqlGateway,
} from '../../http/console/sql-account.ts';
import type { OwnSocket } from '../own-socket.ts';
import { ConsoleConnection, type ConsoleLogin } from './console-connection.ts';

/** The upstream's user and database of walhook itself. */
export interface OwnLogin {
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
}

export interface ConsoleGatewayOptions {
  readonly socket: OwnSocket;
  readonly own: OwnLogin;
  /** Clients of the SQL port have to show a certificate, which no page can do for them. */
  readonly needsCertificates: boolean;
  readonly clock: Clock;
}

export class ConsoleGateway implements SqlGateway {
  readonly #options: ConsoleGatewayOptions;

  constructor(options: ConsoleGatewayOptions) {
    this.#options = options;
  }

  get signInProblem(): string | null {
    if (!this.#options.needsCertificates) return null;
    return 'clients have to show a certificate here (--tls-mode), which the console cannot; sign in with the token';
  }

  own(access: Access): SqlAccount {
    return this.#account(this.#options.own, access);
  }

  async signIn(user: string, password: string, database: string | null): Promise<SqlAccount> {
    const login = { user, password, database: database ?? this.#options.own.database };
    const account = this.#account(login, 'client');
    const connection = this.#connection(login, 'client');
    try {
      // An upstream that trusts the address that it sees, which is ours, would let in anybody as anybody.
      if (!(await connection.wasAskedForPassword())) {
        throw new SqlError({
          severity: 'FATAL',
          code: '28000',
          message: 'the upstream asks for no password here, so it cannot tell who signs in',
          hint: 'Have pg_hba.conf ask walhook’s address for one, or sign in with the token (--console-token).',
        });
      }
    } finally {
      connection.close();
    }
    return account;
  }

  #account(login: OwnLogin, access: Access): SqlAccount {
    const { user, database } = login;
    return { user, database, access, open: (): SqlConnection => this.#connection(login, access) };
  }

  #connection({ user, password = '', database }: OwnLogin, access: Access): ConsoleConnection {
    const { socket, clock } = this.#options;
    const login: ConsoleLogin = { host: dirname(socket.path), port: socket.port, user, password, database };
    return new ConsoleConnection(login, access, clock);
  }
}
