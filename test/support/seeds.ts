/** The seeds of a simulation: one by `SIM_SEED`, or as many as the variable says, from `SIM_FROM` on. */
export function seedsOf(
  variable: string,
  byDefault: number,
): { readonly seeds: readonly number[]; readonly isOne: boolean } {
  const one = process.env['SIM_SEED'];
  if (one !== undefined) return { seeds: [Number(one)], isOne: true };
  const count = Number(process.env[variable] ?? byDefault);
  const from = Number(process.env['SIM_FROM'] ?? 1);
  return { seeds: Array.from({ length: count }, (_, i) => from + i), isOne: false };
}
