import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/** The data directory is in use by another process. */
export class DataDirectoryInUseError extends Error {
  override readonly name = 'DataDirectoryInUseError';
}

/**
 * The folder that holds all of walhook's state, locked for this process. The lock is SQLite's, held on a file of its
 * own for as long as the process lives: the operating system lets go of it however the process ends, so nothing stale
 * is ever left behind.
 */
export class DataDirectory {
  readonly path: string;
  readonly #lock: Database.Database;

  private constructor(path: string, lock: Database.Database) {
    this.path = path;
    this.#lock = lock;
  }

  /** Makes the folder where there is none (mode 0700). Throws `DataDirectoryInUseError`. */
  static open(path: string): DataDirectory {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = new Database(join(path, 'walhook.lock'), { timeout: 0 });
    try {
      lock.pragma('locking_mode = EXCLUSIVE');
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error;
      throw new DataDirectoryInUseError(`the data directory ${path} is in use by another walhook${holder(path)}`);
    }
    writeFileSync(join(path, 'walhook.pid'), `${process.pid}\n`);
    return new DataDirectory(path, lock);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  close(): void {
    rmSync(join(this.path, 'walhook.pid'), { force: true });
    this.#lock.close();
  }
}

function holder(path: string): string {
  try {
    return ` (process ${readFileSync(join(path, 'walhook.pid'), 'utf8').trim()})`;
  } catch {
    return '';
  }
}
