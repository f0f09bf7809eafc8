/**
 * One option. The flag, the environment variable, `--help` and the tables of docs/ derive from it.
 * `parse` throws an `Error` whose message says what would be valid; it is shown behind the option's name.
 */
export interface OptionSpec<T> {
  /** `data-dir` gives `--data-dir` and `WALHOOK_DATA_DIR`. */
  readonly name: string;
  readonly placeholder: string;
  /** In the form that the flag takes; null where the option must be given. */
  readonly default: string | null;
  readonly text: string;
  /** Printed as `***` by anything that shows the configuration. */
  readonly secret?: boolean;
  /** A running walhook takes another value on SIGHUP; of others it says that they need a restart. */
  readonly reloads?: boolean;
  readonly parse: (text: string) => T;
}

export function oneOf<T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((value) => value === text.toLowerCase());
    if (!found) throw new Error(`"${text}" is not one of ${values.join(', ')}`);
    return found;
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
/** The longest that a timer can wait. */
const MAX_DURATION_MS = 2_147_483_647;

/** A duration in milliseconds, at least `leastMs`; 0 without a unit, where it may be 0. */
export function duration(leastMs: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,10})\s*(ms|s|min|h|d)?$/.exec(text.trim());
    const ms = match ? Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? (Number(match[1]) === 0 ? 0 : Number.NaN)) : NaN;
    if (Number.isNaN(ms))
      throw new Error(`"${text}" is no duration; write a number and ms, s, min, h or d, such as 30s`);
    if (ms < leastMs || ms > MAX_DURATION_MS) {
      throw new Error(`"${text}" is out of range; ${leastMs} ms to ${MAX_DURATION_MS} ms are allowed`);
    }
    return ms;
  };
}

/** A whole number from `least` to `most`. */
export function count(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new Error(`"${text}" is no whole number from ${least} to ${most}`);
    return value;
  };
}
