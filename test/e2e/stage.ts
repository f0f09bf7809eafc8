import { join } from 'node:path';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { DEBIAN_BIN } from '../support/programs.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

/** Debian's server, whose programs are of its own version, and walhook before it. */
export interface Stage {
  readonly server: LocalPostgres;
  readonly walhook: WalhookProcess;
}

export async function startStage(settings: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const server = await startPostgres({ binDir: DEBIAN_BIN, settings });
  const dataDir = join(temporaryFolder(), 'data');
  return { server, walhook: await new WalhookProcess({ upstreamUrl: server.url(), dataDir }).start() };
}
