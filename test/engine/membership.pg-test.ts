import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type pg from 'pg';
import type { Gap } from '../../src/model/gap.ts';
import { parseLsn, type Lsn } from '../../src/postgres/lsn.ts';
import { must } from '../../src/base/assert.ts';
import { listedTables, PUBLICATION } from '../../src/capture/publication.ts';
import { slotIsFree, walLsn } from '../capture/capture-harness.ts';
import { startReceiver, type TestReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf, type RunningEngine } from './engine-harness.ts';

// The law: a table that leaves the publication is announced to its streams, as a gap that begins no later than what is lost,
// and is published again; of other tables nothing is lost, and their streams go on as if nothing had been.

const NEVER = new AbortController().signal;
const server = await startPostgres();

/** Tables `t` and `u` with a stream of each, of which a row each is delivered. */
class Scene {
  readonly dataDir = temporaryFolder();
  readonly admin: pg.Client;
  readonly receivers: ReadonlyMap<string, TestReceiver>;
  running!: RunningEngine;

  private constructor(admin: pg.Client, receivers: ReadonlyMap<string, TestReceiver>) {
    this.admin = admin;
    this.receivers = receivers;
  }

  static async begin(onGap: 'halt' | 'backfill' = 'halt'): Promise<Scene> {
    const admin = await connect(server.url());
    const receivers = new Map([
      ['t', await startReceiver()],
      ['u', await startReceiver()],
    ]);
    const scene = new Scene(admin, receivers);
    scene.start();
    for (const [name, { url }] of receivers) {
      await admin.query(`DROP TABLE IF EXISTS ${name}; CREATE TABLE ${name} (id int PRIMARY KEY)`);
      const change = createStream(`s_${name}`, [await tableOf(admin, name)], url);
      assert.ok(change.kind === 'create-stream');
      const options = { ...change.request.options, gapEvents: name === 't', onGap };
      await scene.running.engine.execute({ ...change, request: { ...change.request, options } }, 'postgres', NEVER);
      await scene.write(name, 1);
      await scene.delivered(name, ['insert 1']);
    }
    return scene;
  }

  start(): void {
    this.running = startEngine(server.url(), this.dataDir);
    const { running } = this;
    after(() => running.stop());
  }

  async write(table: string, id: number): Promise<void> {
    await this.admin.query(`INSERT INTO ${table} VALUES ($1)`, [id]);
  }

  /** What has come, in its order; a gap as the tables that it is of. */
  events(table: string): readonly string[] {
    return must(this.receivers.get(table), 'a table').requests.map(({ body }) => {
      const event = body as { op: string; schema: string; after: { id: string; tables: string } };
      return event.schema === 'cdc' ? `gap ${event.after.tables}` : `${event.op} ${event.after.id}`;
    });
  }

  async delivered(table: string, events: readonly string[]): Promise<void> {
    await waitFor(events.join(), () => this.events(table).length >= events.length);
    // Rows that are read come as they are ready.
    const inOrder = this.events(table).slice(0, events.length);
    assert.deepEqual(this.events(table).length, events.length);
    assert.deepEqual(inOrder.filter(isChange), events.filter(isChange));
    assert.deepEqual(inOrder.toSorted(), [...events].toSorted());
  }

  /** The gap that holds `t`, once its table is published again. */
  async held(): Promise<Gap> {
    return waitFor('the gap', async () => {
      const { definition, status } = await this.running.engine.report('s_t');
      const { heldGap } = definition;
      return status === 'paused' && heldGap !== null && heldGap.toLsn !== null ? heldGap : null;
    });
  }

  /** That is all that is lost; `u` has missed nothing and waited for nothing. */
  async announced({ reason, fromLsn, toLsn }: Gap, takenLsn: Lsn): Promise<void> {
    assert.equal(reason, 'table-unpublished');
    const from = must(parseLsn(fromLsn), 'an LSN');
    assert.ok(from <= takenLsn && takenLsn < must(parseLsn(toLsn ?? ''), 'an LSN'));
    assert.deepEqual(await listedTables(this.admin, PUBLICATION), [
      (await tableOf(this.admin, 't')).oid,
      (await tableOf(this.admin, 'u')).oid,
    ]);
    const report = await this.running.engine.report('s_u');
    assert.deepEqual([report.status, report.definition.heldGap], ['running', null]);
    assert.match((await this.running.engine.report('s_t')).statusReason ?? '', /changes of public\.t after .*RESUME/);
    const actions = (name: string): string[] =>
      this.running.engine.history('stream', name, 9).map(({ action }) => action);
    assert.deepEqual([actions('s_t'), actions('s_u')], [['gap', 'create'], ['create']]);
    assert.equal(this.running.engine.gapCount(), 1);
  }

  async end(): Promise<void> {
    await this.running.engine.dropStreams(['s_t', 's_u'], false, 'postgres');
    await this.running.stop();
    for (const receiver of this.receivers.values()) await receiver.close();
  }
}

function isChange(event: string): boolean {
  return !event.startsWith('read');
}

for (const [what, sql] of [
  ['taken out', ['ALTER PUBLICATION walhook DROP TABLE t']],
  [
    'taken out and put in again at once',
    ['ALTER PUBLICATION walhook DROP TABLE t', 'ALTER PUBLICATION walhook ADD TABLE t'],
  ],
] as const) {
  test(`a table that is ${what} while changes stream`, async () => {
    const scene = await Scene.begin();
    const takenLsn = await walLsn(scene.admin);
    const [first, ...others] = sql;
    await scene.admin.query(first);
    await scene.write('t', 2);
    for (const statement of others) await scene.admin.query(statement);
    await scene.write('u', 2);
    await scene.announced(await scene.held(), takenLsn);
    await scene.delivered('u', ['insert 1', 'insert 2']);
    await scene.delivered('t', ['insert 1', 'gap public.t']);
    await scene.write('t', 3);
    await scene.write('u', 3);
    await scene.delivered('u', ['insert 1', 'insert 2', 'insert 3']);
    assert.equal(scene.events('t').length, 2, 'it waits to be told');
    await scene.running.engine.setDesiredState('s_t', 'running', 'alice');
    await scene.delivered('t', ['insert 1', 'gap public.t', 'insert 3']);
    await scene.end();
  });
}

test('a table that is taken out while walhook is down, with much to come of another', async () => {
  const scene = await Scene.begin();
  await scene.running.stop();
  await slotIsFree(scene.admin, scene.running.slotName);
  const takenLsn = await walLsn(scene.admin);
  await scene.write('t', 2);
  await scene.admin.query('ALTER PUBLICATION walhook DROP TABLE t');
  await scene.write('t', 3);
  await scene.write('u', 2);
  scene.start();
  await scene.announced(await scene.held(), takenLsn);
  await scene.delivered('u', ['insert 1', 'insert 2']);
  await scene.delivered('t', ['insert 1', 'insert 2', 'gap public.t']);
  // Nothing of it is said again by a later start.
  await scene.running.stop();
  scene.start();
  await scene.write('t', 4);
  await waitFor('the change', async () => (await scene.running.engine.report('s_t')).delivery.pendingEvents === 1);
  await scene.running.engine.setDesiredState('s_t', 'running', 'alice');
  await scene.delivered('t', ['insert 1', 'insert 2', 'gap public.t', 'insert 4']);
  assert.equal(scene.running.engine.gapCount(), 1);
  await scene.end();
});

test('what is lost is read, where the stream heals its gaps', async () => {
  const scene = await Scene.begin('backfill');
  await scene.admin.query('ALTER PUBLICATION walhook DROP TABLE t');
  await scene.write('t', 2);
  await scene.delivered('t', ['insert 1', 'gap public.t', 'read 1', 'read 2']);
  await waitFor('it to run', async () => (await scene.running.engine.report('s_t')).status === 'running');
  await scene.write('t', 3);
  await scene.delivered('t', ['insert 1', 'gap public.t', 'read 1', 'read 2', 'insert 3']);
  assert.deepEqual(scene.events('u'), ['insert 1']);
  await scene.end();
});

test('a table that is taken out before the slot is made anew: the gap is of all that is lost by either', async () => {
  const scene = await Scene.begin();
  const { slotName } = scene.running;
  const takenLsn = await walLsn(scene.admin);
  await scene.admin.query('ALTER PUBLICATION walhook DROP TABLE t');
  await scene.write('t', 2);
  // Captured, of the other table: the log goes on.
  await scene.write('u', 2);
  await scene.delivered('u', ['insert 1', 'insert 2']);
  await scene.running.stop();
  await slotIsFree(scene.admin, slotName);
  await scene.admin.query('SELECT pg_drop_replication_slot($1)', [slotName]);
  await scene.write('u', 3);
  await scene.admin.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [slotName]);
  await scene.write('t', 3);
  const lastLsn = await walLsn(scene.admin);
  scene.start();
  const gap = await scene.held();
  assert.ok(must(parseLsn(gap.fromLsn), 'an LSN') <= takenLsn, 'from where the table was taken out');
  assert.ok(must(parseLsn(gap.toLsn ?? ''), 'an LSN') >= lastLsn, 'to where it is published again');
  for (const name of ['s_t', 's_u']) await scene.running.engine.setDesiredState(name, 'running', 'alice');
  await scene.write('t', 4);
  await scene.write('u', 4);
  await scene.delivered('u', ['insert 1', 'insert 2', 'insert 4']);
  await waitFor('the row', () => scene.events('t').includes('insert 4'));
  assert.deepEqual(
    scene.events('t').filter((event) => !event.startsWith('gap')),
    ['insert 1', 'insert 4'],
  );
  await scene.end();
});
