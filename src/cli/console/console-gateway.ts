import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import {
  SqlError,
  type Access,
  type SqlAccount,
  type SqlConnection,
  type SqlGateway,
} from '../../http/console/sql-account.ts';
import { ConsoleConnection, type ConsoleLogin } from './console-connection.ts';

const SOCKET_PORT = 7480;
const SOCKET_NAME = `.s.PGSQL.${SOCKET_PORT}`;
/** What fits into `sockaddr_un` everywhere, with its final zero. */
const MAX_PATH_BYTES = 103;

/**
 * The console's own way to the SQL port: a unix socket that only this user reaches, in the data directory, or in a folder
 * of its own where that has too long a name. By it the console is a client like any other, whatever the others have to
 * show: who it is, what it may do and what a statement means is decided in one place.
 */
export class ConsoleSocket {
  readonly path: string;
  /** As `pg` wants it, which finds the socket by its folder and this. */
  readonly port = SOCKET_PORT;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, SOCKET_NAME);
  }

  /** Makes the folder; the frontend makes the socket. */
  static in(dataDir: string, name = 'console'): ConsoleSocket {
    const inDataDir = join(resolve(dataDir), name);
    if (Buffer.byteLength(join(inDataDir, SOCKET_NAME)) > MAX_PATH_BYTES) {
      return new ConsoleSocket(mkdtempSync(join(tmpdir(), 'walhook-')));
    }
    mkdirSync(inDataDir, { recursive: true, mode: 0o700 });
    // The socket itself is open to all who reach it, and the data directory may be open to others.
    chmodSync(inDataDir, 0o700);
    return new ConsoleSocket(inDataDir);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The upstream's user and database of walhook itself. */
export interface OwnLogin {
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
}

export interface ConsoleGatewayOptions {
  readonly socket: ConsoleSocket;
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
    const login: ConsoleLogin = { host: dirname(socket.path), port: SOCKET_PORT, user, password, database };
    return new ConsoleConnection(login, access, clock);
  }
}
