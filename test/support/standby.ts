import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { LOCAL_PASSWORD, LOCAL_USER, LocalPostgres } from '../../src/cli/local-postgres.ts';
import { connect } from './test-database.ts';
import { waitFor } from './wait-for.ts';

/**
 * A hot standby that streams from `primary`, which is stopped for a moment to be copied. `slotName`: the physical slot on the
 * primary that it streams by; then it also keeps copies of the primary's failover slots (from version 17 on).
 */
export async function startStandby(primary: LocalPostgres, slotName?: string): Promise<LocalPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'walhook-pg-'));
  chmodSync(folder, 0o711);
  const dataDir = join(folder, 'data');
  await primary.stop();
  // With owners and modes, which a server insists on.
  execFileSync('cp', ['-a', primary.dataDir, dataDir]);
  execFileSync('cp', ['-a', join(dataDir, 'PG_VERSION'), join(dataDir, 'standby.signal')]);
  await primary.restart();
  const upstream = `host=127.0.0.1 port=${primary.port} user=${LOCAL_USER} password=${LOCAL_PASSWORD}`;
  const synced =
    slotName === undefined
      ? { primary_conninfo: upstream }
      : {
          // The slots are asked for in a database, whichever.
          primary_conninfo: `${upstream} dbname=postgres`,
          primary_slot_name: slotName,
          hot_standby_feedback: 'on',
          sync_replication_slots: 'on',
        };
  const standby = await LocalPostgres.start({
    dataDir,
    binDir: primary.binDir,
    settings: { fsync: 'off', max_replication_slots: '20', ...synced },
  });
  after(async () => {
    await standby.stop('immediate');
    rmSync(folder, { recursive: true, force: true });
  });
  const client = await connect(primary.url());
  await waitFor('the standby to stream', async () => {
    const { rows } = await client.query(`SELECT FROM pg_stat_replication WHERE state = 'streaming'`);
    return rows.length === 1;
  });
  await client.end();
  return standby;
}
