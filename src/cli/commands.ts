import type { OptionSpec } from '../config/option-spec.ts';
import {
  CHECK_OPTIONS,
  CLIENT_COMMAND_OPTIONS,
  DOCTOR_OPTIONS,
  ROTATE_OPTIONS,
  SERVE_OPTIONS,
  WAIT_OPTIONS,
} from '../config/options.ts';
import { LISTEN_OPTIONS } from './listen-options.ts';
import { START_OPTIONS } from './start-options.ts';

/** Of `serve`: show the options and end. */
export const PRINT_CONFIG = '--print-config';

/** A word of a command line besides options: a switch (`--once`) or something else (`FILE`). */
export interface CommandWord {
  readonly word: string;
  readonly text: string;
}

/** One command: its line in the general help, what its own help shows, and what a shell completes. */
export interface CommandSpec {
  readonly name: string;
  /** What follows its name in the general help; empty: nothing. */
  readonly operands: string;
  readonly text: string;
  /** What its own help begins with; null: it has no help of its own. */
  readonly usage: string | null;
  readonly options: Readonly<Record<string, OptionSpec<unknown>>>;
  readonly words: readonly CommandWord[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Every command once. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'serve',
    operands: '',
    text: 'front a PostgreSQL of yours',
    usage: 'walhook serve --upstream URL [OPTION …]',
    options: SERVE_OPTIONS,
    words: [
      { word: PRINT_CONFIG, text: 'Print all options as --config takes them, with where each comes from, and end.' },
    ],
  },
  {
    name: 'start',
    operands: '',
    text: 'the demo: a PostgreSQL of its own, a receiver, and a tour',
    usage: 'walhook start [--once] [OPTION …]',
    options: START_OPTIONS,
    words: [
      {
        word: '--once',
        text: 'Stop after the tour; exit 0 only if every expected webhook arrived exactly as expected.',
      },
    ],
  },
  {
    name: 'dump',
    operands: '',
    text: 'print the definitions of a running walhook as SQL',
    usage: 'walhook dump --url URL [--no-owner]',
    options: CLIENT_COMMAND_OPTIONS,
    words: [{ word: '--no-owner', text: 'Leave out who owns what.' }],
  },
  {
    name: 'apply',
    operands: 'FILE',
    text: 'make the definitions of a running walhook equal to a file',
    usage: 'walhook apply FILE --url URL [OPTION …]',
    options: CLIENT_COMMAND_OPTIONS,
    words: [
      {
        word: 'FILE',
        text: 'CREATE CDC SECRET, ENDPOINT and STREAM, COMMENT ON, OWNER TO: all that there is to be. - is standard input.',
      },
      {
        word: '--dry-run',
        text: 'Print the plan only. Exit code 0: nothing to do; 2: something to do; 1: it cannot be done.',
      },
      { word: '--yes', text: 'Do not ask. Without it, somebody has to be at a terminal.' },
      {
        word: '--set-hidden',
        text: 'Set the values that the catalog shows to nobody (secrets, the queries of URLs), though they may be the same.',
      },
    ],
  },
  {
    name: 'wait',
    operands: 'STREAM',
    text: 'wait until a stream has caught up, behind BACKFILL or REPLAY, say',
    usage: 'walhook wait STREAM --url URL [--timeout DURATION]',
    options: WAIT_OPTIONS,
    words: [
      {
        word: 'STREAM',
        text: 'A name. Exit code 0: no backfill of it runs, and what was committed before is delivered or dead-lettered; 1: it is paused, its backfill was cancelled, or the time is over.',
      },
    ],
  },
  {
    name: 'listen',
    operands: '',
    text: 'a receiver for development, which fails as it is told',
    usage: 'walhook listen [HOST:PORT] [OPTION …]',
    options: LISTEN_OPTIONS,
    words: [
      {
        word: 'HOST:PORT',
        text: 'Where to listen, or a port alone (default: 127.0.0.1:7490; 0: any free port).',
      },
    ],
  },
  {
    name: 'check',
    operands: '',
    text: 'whether a PostgreSQL has what capturing needs, and the SQL that brings it',
    usage: 'walhook check --upstream URL',
    options: CHECK_OPTIONS,
    words: [],
  },
  {
    name: 'doctor',
    operands: '',
    text: 'the same for the streams of a data directory, and whether its files are whole',
    usage: 'walhook doctor --upstream URL [OPTION …]',
    options: DOCTOR_OPTIONS,
    words: [],
  },
  {
    name: 'rotate-secret-key',
    operands: '',
    text: 'encrypt the stored secrets with another key',
    usage: 'walhook rotate-secret-key [OPTION …]',
    options: ROTATE_OPTIONS,
    words: [],
  },
  {
    name: 'completion',
    operands: 'SHELL',
    text: 'print what makes a shell complete all this',
    usage: 'walhook completion SHELL',
    options: {},
    words: [
      {
        word: 'SHELL',
        text: `${SHELLS.join(', ')}. bash: source <(walhook completion bash); zsh: the same after compinit; fish: walhook completion fish | source.`,
      },
    ],
  },
  {
    name: 'version',
    operands: '',
    text: 'print the version',
    usage: null,
    options: {},
    words: [],
  },
  {
    name: 'help',
    operands: '[COMMAND]',
    text: 'print this, or the options of a command',
    usage: null,
    options: {},
    words: [],
  },
];
