import type { Logger } from '../base/logger.ts';
import type { CommandRunner } from './command-runner.ts';
import type { OwnNames } from './own-names.ts';
import type { Relay } from './relay.ts';
import type { StagedTransaction } from './staged-transaction.ts';
import type { Recogniser } from './statement.ts';

/** What the parts of one session's interception share. */
export interface Interception {
  readonly relay: Relay;
  readonly logger: Logger;
  readonly names: OwnNames;
  readonly runner: CommandRunner;
  readonly staged: StagedTransaction;
  readonly recogniser: Recogniser;
}
