/** `p50 … p99 …, longest …` of times in milliseconds. */
export function describeTimes(timesMs: readonly number[]): string {
  const at = (of: number): string => `${quantile(timesMs, of).toFixed(2)} ms`;
  return `p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, longest ${at(1)} (${timesMs.length})`;
}

export function quantile(values: readonly number[], of: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(of * (values.length - 1))] ?? NaN;
}
