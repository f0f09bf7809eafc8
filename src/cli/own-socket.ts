import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const SOCKET_PORT = 7480;
const SOCKET_NAME = `.s.PGSQL.${SOCKET_PORT}`;
/** What fits into `sockaddr_un` everywhere, with its final zero. */
const MAX_PATH_BYTES = 103;

/**
 * A way of our own to the SQL port: a unix socket that only this user reaches, in a folder of the data directory, or elsewhere
 * where that has too long a name. Who comes by it is a client like any other, whatever the others have to show: who it is, what
 * it may do and what a statement means is decided in one place.
 */
export class OwnSocket {
  readonly path: string;
  /** As `pg` wants it, which finds the socket by its folder and this. */
  readonly port = SOCKET_PORT;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, SOCKET_NAME);
  }

  /** Makes the folder, which is `name`; the frontend makes the socket. */
  static in(dataDir: string, name: 'console' | 'embedded'): OwnSocket {
    const inDataDir = join(resolve(dataDir), name);
    if (Buffer.byteLength(join(inDataDir, SOCKET_NAME)) > MAX_PATH_BYTES) {
      return new OwnSocket(mkdtempSync(join(tmpdir(), 'walhook-')));
    }
    mkdirSync(inDataDir, { recursive: true, mode: 0o700 });
    // The socket itself is open to all who reach it, and the data directory may be open to others.
    chmodSync(inDataDir, 0o700);
    return new OwnSocket(inDataDir);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
