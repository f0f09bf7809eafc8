import type { Clock } from '../base/clock.ts';

/** Where progress is drawn, as `process.stderr` is. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How often a count is drawn again: a terminal far away has to keep up. */
const DRAW_EVERY_MS = 100;
const BAR_WIDTH = 24;
const DEFAULT_COLUMNS = 80;
const ERASE_LINE = '\r\u001B[K';

/**
 * One line on a terminal that says how far long work is, drawn over again and again. It draws nothing on what is no terminal, so
 * that pipes and logs never have it. Whoever writes to the same terminal calls `clear` before.
 */
export class Progress {
  readonly #screen: Screen | null;
  readonly #clock: Clock;
  #drawnAtMs = -Infinity;
  /** What is drawn now, besides its count. */
  #drawn: string | null = null;

  /** `terminal`: the variable TERM; one that is `dumb` cannot draw over a line. */
  constructor(screen: Screen, clock: Clock, terminal: string | undefined) {
    this.#screen = screen.isTTY === true && terminal !== 'dumb' ? screen : null;
    this.#clock = clock;
  }

  /** `total`: what `done` becomes, or null where nobody knows; without `done`, the work has no parts that can be counted. */
  show(text: string, done: number | null = null, total: number | null = null): void {
    if (this.#screen === null) return;
    const nowMs = this.#clock.monotonicMs();
    // What follows may take long: another text is drawn whenever it comes.
    if (text === this.#drawn && nowMs - this.#drawnAtMs < DRAW_EVERY_MS) return;
    this.#drawnAtMs = nowMs;
    this.#drawn = text;
    // 0: a terminal that does not know. A line that is as wide as the terminal would take two.
    const width = (this.#screen.columns || DEFAULT_COLUMNS) - 1;
    this.#screen.write(`${ERASE_LINE}${progressLine(text, done, total, width)}`);
  }

  /** Takes the line away. The next `show` draws at once. */
  clear(): void {
    if (this.#screen === null || this.#drawn === null) return;
    this.#screen.write(ERASE_LINE);
    this.#drawn = null;
  }
}

/** The line, in `width` characters at most. Control characters, which a name may have, are shown as `?`. */
export function progressLine(text: string, done: number | null, total: number | null, width: number): string {
  const parts = [text.replaceAll(/\p{Cc}/gu, '?')];
  if (done !== null && total !== null && total > 0) {
    const share = Math.min(1, Math.max(0, done / total));
    const full = Math.floor(share * BAR_WIDTH);
    parts.push(`[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}]`, `${Math.floor(share * 100)}%`);
    parts.push(`${counted(done)}/${counted(total)}`);
  } else if (done !== null) parts.push(counted(done));
  return Array.from(parts.join(' ')).slice(0, width).join('');
}

function counted(count: number): string {
  return count.toLocaleString('en-US');
}

/** On standard error, which is a terminal or is not. */
export function terminalProgress(clock: Clock): Progress {
  return new Progress(process.stderr, clock, process.env['TERM']);
}
