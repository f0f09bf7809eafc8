import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress, progressLine, type Screen } from '../../src/cli/progress.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

function screen(isTTY: boolean): Screen & { readonly written: string[] } {
  const written: string[] = [];
  return { isTTY, columns: 60, written, write: (text) => written.push(text) };
}

test('a line has the share, the count and the total, or the count alone', () => {
  assert.equal(progressLine('rows', 5_000, 20_000, 80), 'rows [######------------------] 25% 5,000/20,000');
  assert.equal(progressLine('rows', 20_000, 20_000, 80), 'rows [########################] 100% 20,000/20,000');
  // An estimate may be too low.
  assert.equal(progressLine('rows', 7, 5, 80), 'rows [########################] 100% 7/5');
  assert.equal(progressLine('rows', 1_234, null, 80), 'rows 1,234');
  assert.equal(progressLine('rows', 0, 0, 80), 'rows 0');
  assert.equal(progressLine('commit', null, null, 80), 'commit');
});

test('a line is no wider than the terminal, and a name in it moves no cursor', () => {
  assert.equal(progressLine('rows', 5_000, 20_000, 12), 'rows [######');
  assert.equal(progressLine('a\u001B[2Jb\nc', null, null, 80), 'a?[2Jb?c');
});

test('a count is drawn over the last, ten times a second at most; another text at once', async () => {
  const clock = new VirtualClock();
  const terminal = screen(true);
  const progress = new Progress(terminal, clock, 'xterm');
  progress.show('a', 1);
  progress.show('a', 2);
  await clock.advance(100);
  progress.show('a', 3);
  progress.show('b');
  progress.clear();
  progress.clear();
  progress.show('b');
  assert.deepEqual(terminal.written, ['\r\u001B[Ka 1', '\r\u001B[Ka 3', '\r\u001B[Kb', '\r\u001B[K', '\r\u001B[Kb']);
});

test('what is no terminal, or a dumb one, has nothing of it', () => {
  for (const [target, terminal] of [
    [screen(false), 'xterm'],
    [screen(true), 'dumb'],
  ] as const) {
    const progress = new Progress(target, new VirtualClock(), terminal);
    progress.show('a', 1, 2);
    progress.clear();
    assert.deepEqual(target.written, []);
  }
});
