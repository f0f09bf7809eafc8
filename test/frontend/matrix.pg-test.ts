import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../support/test-database.ts';
import { RawClient, say, tagsOf, type Received } from '../support/raw-client.ts';
import { cellsOf, PORTAL, STATEMENT, type Cell } from './matrix-cells.ts';
import { allKinds, prepareServer, resetStreams, type Kind } from './matrix-kinds.ts';
import { startPair } from './proxy.ts';

// Law: in every place, protocol and variant a statement of ours is answered by the same messages, in the same order and
// with the same states, as an ordinary statement of the same shape is answered by the server itself.

const { server, direct, proxy } = await startPair();
await prepareServer(await connect(server.url()));
const oracle = await RawClient.start(direct, { TimeZone: 'UTC' });
const subject = await RawClient.start(proxy.address, { TimeZone: 'UTC' });
const kinds = await allKinds(subject, proxy.streams);

/** How many cells there are: one that is lost is a failure. */
const CELLS = 18_629;

const END = 'the end of the cell';
/** Ends what the cell left open, and counts what it did. */
const TRAILER = [
  say.query('rollback'),
  say.close('portal', PORTAL),
  say.close('statement', STATEMENT),
  say.close('portal', 'their portal'),
  say.close('statement', 'their'),
  say.sync(),
  say.query(`with gone as (delete from counted returning 1) select count(*), '${END}' from gone`),
];

/** What the client is answered up to the end of the cell. */
async function play(client: RawClient, messages: readonly Buffer[]): Promise<Received[]> {
  client.send(...messages, ...TRAILER);
  const answer: Received[] = [];
  do {
    answer.push(...(await client.until('Z')));
    assert.ok(!client.isClosed, 'the session lives');
  } while (!answer.at(-3)?.body.includes(END));
  return answer;
}

const OUR_TAG = /^((CREATE|ALTER|DROP) CDC (STREAM|ENDPOINT|SECRET)|SHOW)$/;
const STAND_IN_TAG = /^(COMMENT|DO|DROP TABLE|INSERT 0 1|SELECT \d+)$/;

/** Each message in a line, as far as it has to be the same. */
function lines(answer: readonly Received[], { codes }: Kind, isOurs: boolean): string[] {
  return answer.map((message) => {
    const { type, body } = message;
    if (type === 'E' || type === 'N') {
      const code = /\0C([^\0]*)/.exec(body.toString('latin1'))![1]!;
      const isMapped = !isOurs && code === codes?.[0];
      return type === 'E' ? `E ${isMapped ? codes[1] : code}` : 'N';
    }
    if (type !== 'C') return `${type} ${body.toString('latin1')}`;
    const [tag] = tagsOf([message]);
    const isStandIn = isOurs ? OUR_TAG.test(tag!) : STAND_IN_TAG.test(tag!);
    // Foreign statements have tags of these kinds, too.
    return isStandIn || STAND_IN_TAG.test(tag!) ? 'C' : `C ${tag}`;
  });
}

const expected = new Map<string, readonly Received[]>();

/** The server's answer to the stand-in; one of the same shape is asked once. */
async function expectation(cell: Cell): Promise<readonly Received[]> {
  const messages = cell.messages(cell.standIn);
  const key = Buffer.concat(messages).toString('latin1');
  let answer = expected.get(key);
  if (!answer) {
    answer = await play(oracle, messages);
    expected.set(key, answer);
  }
  return answer;
}

/** Whether the statement has had its effect: it was completed, and nothing has taken it back. */
function isDone(answer: readonly Received[], { isTransaction }: Cell): boolean {
  const done = answer.findLastIndex((message) =>
    tagsOf([message]).some((tag) => /CDC (STREAM|ENDPOINT|SECRET)$/.test(tag)),
  );
  return done !== -1 && !(isTransaction && answer.slice(done).some(({ type }) => type === 'E'));
}

let played = 0;
for (const kind of kinds) {
  for (const [place, cells] of cellsOf(kind)) {
    test(`${kind.name}: ${place} (${cells.length})`, async () => {
      const failures: string[] = [];
      for (const cell of cells) {
        played++;
        const wanted = lines(await expectation(cell), kind, false);
        await resetStreams(proxy.streams);
        const before = proxy.streams.state;
        const answer = await play(subject, cell.messages(kind.ours));
        const got = lines(answer, kind, true);
        const hasChanged = isDone(answer, cell);
        if (kind.name !== 'ALTER … RESUME') assert.equal(proxy.streams.state !== before, hasChanged, cell.name);
        if (got.join('\n') === wanted.join('\n')) continue;
        const at = got.findIndex((line, i) => line !== wanted[i]);
        failures.push(`${cell.name}: message ${at}\n  ${show(got, at)}\n  not\n  ${show(wanted, at)}`);
      }
      assert.equal(failures.length, 0, `${failures.length} of ${cells.length}:\n${failures.slice(0, 2).join('\n')}`);
    });
  }
}

const show = (all: readonly string[], at: number): string =>
  all
    .map((line, i) =>
      i === at
        ? `>>>${line.slice(0, 300)}<<<`
        : line.slice(0, line[0] === 'C' || line[0] === 'E' || line[0] === 'Z' ? 30 : 1),
    )
    .join(' ');

test('no cell is lost', () => {
  assert.equal(played, CELLS);
  oracle.close();
  subject.close();
});
