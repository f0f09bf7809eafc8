import type { Command } from '../sql/command.ts';

/** The commands that change nothing, and so run in any transaction that has not failed. */
export function onlyShows(command: Command): boolean {
  const { kind } = command;
  return kind.startsWith('show-') || kind === 'explain-create-stream' || kind === 'check' || kind === 'peek-stream';
}

const TAGS: Readonly<Partial<Record<Command['kind'], string>>> = {
  'create-stream': 'CREATE CDC STREAM',
  'explain-create-stream': 'EXPLAIN',
  'alter-stream': 'ALTER CDC STREAM',
  'drop-streams': 'DROP CDC STREAM',
  'create-endpoint': 'CREATE CDC ENDPOINT',
  'alter-endpoint': 'ALTER CDC ENDPOINT',
  'drop-endpoints': 'DROP CDC ENDPOINT',
  'create-secret': 'CREATE CDC SECRET',
  'alter-secret': 'ALTER CDC SECRET',
  'drop-secrets': 'DROP CDC SECRET',
  'comment-on-stream': 'COMMENT',
  check: 'CHECK CDC',
  test: 'TEST CDC',
  'peek-stream': 'PEEK CDC STREAM',
  'backfill-stream': 'BACKFILL CDC STREAM',
  'cancel-backfill': 'CANCEL BACKFILL CDC STREAM',
  'replay-stream': 'REPLAY CDC STREAM',
  'retry-dead-letters': 'RETRY CDC DEAD LETTERS',
  'discard-dead-letters': 'DISCARD CDC DEAD LETTERS',
};

/** The command tag, counts apart. */
export function tagOf({ kind }: Command): string {
  return TAGS[kind] ?? 'SHOW';
}
