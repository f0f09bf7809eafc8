/** A programmer's error: the state that "cannot happen". Never caught; the process ends. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Ends the process (by an uncaught `AssertionError`) unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The value itself, asserted to be there. */
export function must<T>(value: T | null | undefined, message: string): T {
  if (value === null || value === undefined) throw new AssertionError(message);
  return value;
}

/** For the branch of an exhaustive switch that no value reaches. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
