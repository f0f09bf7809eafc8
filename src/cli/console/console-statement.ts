import { EVENT_COLUMNS } from '../../frontend/delivery-commands.ts';
import { PlacedError, prepareStatement } from '../../frontend/statement.ts';
import type { Access } from '../../http/console/sql-account.ts';
import { PgError } from '../../postgres/sqlstate.ts';
import { isOurs } from '../../sql/classify.ts';
import type { Command, StreamActionCommand } from '../../sql/command.ts';
import { splitStatements } from '../../sql/split.ts';

/** What the console's connections are opened with, too, so that the text means to them what it means here. */
const SETTINGS = { standardConformingStrings: true, clientEncoding: 'UTF8' } as const;

type Kind = Command['kind'];

/** What only shows. */
const SHOWN: ReadonlySet<Kind> = new Set<Kind>([
  'show-streams',
  'show-stream-status',
  'show-create-stream',
  'show-stream-tables',
  'show-stream-options',
  'show-stream-history',
  'show-deliveries',
  'show-dead-letters',
  'peek-stream',
  'show-endpoints',
  'show-create-endpoint',
  'show-slots',
  'show-settings',
  'show-version',
  'check',
]);

/** Of deliveries and dead letters: all that is shown is held in memory. */
const MAX_ROWS = 100;

const ACTIONS: ReadonlySet<Kind> = new Set<Kind>(['test', 'retry-dead-letters', 'discard-dead-letters']);
const STREAM_ACTIONS: ReadonlySet<StreamActionCommand['kind']> = new Set<StreamActionCommand['kind']>([
  'pause',
  'resume',
  'restart',
  'reset-circuit',
  'skip-event',
]);

/** A statement that the console may run. */
export interface ConsoleStatement {
  /** What is sent, which is what was asked. */
  readonly text: string;
  readonly isAction: boolean;
  /** Columns whose values the account does not get. */
  readonly hidden: readonly string[];
}

/**
 * Reads a statement of the console's. The console shows and operates; it defines nothing and reads no table, so that what
 * gets hold of its sessions gets no more. 42601 for what is not exactly one statement of ours, 42501 for one that the
 * console does not run at all, or not for this account; what `parseStatement` and `analyze` raise.
 */
export function readConsoleStatement(text: string, access: Access): ConsoleStatement {
  const [span, ...more] = splitStatements(text, SETTINGS);
  if (span === undefined || more.length > 0 || !isOurs(text, span, SETTINGS)) {
    throw new PgError('syntax_error', 'the console runs one CDC statement at a time, and nothing else');
  }
  const command = commandOf(text, span);
  if ('limit' in command && (command.limit ?? 0) > MAX_ROWS) {
    throw new PgError('program_limit_exceeded', `the console shows ${MAX_ROWS} rows at a time`, {
      hint: 'Ask for more as a client of the SQL port.',
    });
  }
  if (SHOWN.has(command.kind)) {
    return { text, isAction: false, hidden: access === 'viewer' ? (EVENT_COLUMNS[command.kind] ?? []) : [] };
  }
  if (!isAction(command)) {
    throw new PgError('insufficient_privilege', 'the console does not run this statement', {
      hint: 'Run it as a client of the SQL port.',
    });
  }
  if (access === 'viewer') {
    throw new PgError('insufficient_privilege', 'whoever has not signed in may look and not act', {
      hint: 'Sign in as a role that owns the stream, or a member of cdc_admin.',
    });
  }
  return { text, isAction: true, hidden: [] };
}

function commandOf(text: string, span: { start: number; end: number }): Command {
  try {
    // DEALLOCATE is none of what `isOurs` says yes to.
    return prepareStatement(text, span, SETTINGS).command([]) as Command;
  } catch (error) {
    throw error instanceof PlacedError ? error.cause : error;
  }
}

function isAction(command: Command): boolean {
  if (command.kind === 'alter-stream') return STREAM_ACTIONS.has(command.action.kind);
  // A URL of the asker's own would have this machine send requests anywhere.
  return ACTIONS.has(command.kind) && !(command.kind === 'test' && command.target.kind === 'webhook');
}
