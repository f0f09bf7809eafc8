import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { LOG_FILE } from './schema.ts';

/*
  Of each captured database, in a folder of the data directory that is named as its slot:

    log.db        the change log
    delivery.db   what deliveries have come to
*/

/** Delivery's own state. */
export const DELIVERY_FILE = 'delivery.db';

/** A database's files, SQLite's besides them first: without what is in its `-wal` a file is an older one. */
const FILES = [LOG_FILE, DELIVERY_FILE].flatMap((name) => [`${name}-wal`, `${name}-shm`, name]);

/** Makes the folder where there is none. */
export function openDatabaseFolder(dataDir: string, slotName: string): string {
  const folder = join(dataDir, slotName);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Forgets log and deliveries, for when the slot is gone. Nothing may have the files open. */
export function removeDatabaseFolder(dataDir: string, slotName: string): void {
  rmSync(join(dataDir, slotName), { recursive: true, force: true });
}

/**
 * Versions that captured one database had its files in the data directory itself. They move to the folder of `slotName`
 * (null: it is captured no more, and they go), before anything opens them: a crash in between leaves the rest to be moved.
 */
export function adoptFiles(dataDir: string, slotName: string | null): void {
  for (const name of FILES) {
    const old = join(dataDir, name);
    if (!existsSync(old)) continue;
    if (slotName === null) rmSync(old);
    else renameSync(old, join(openDatabaseFolder(dataDir, slotName), name));
  }
}
