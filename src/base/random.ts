import { randomBytes } from 'node:crypto';

/** Chance as a parameter, so that a simulation is repeated by its seed. */
export interface Random {
  /** Uniform in [0, 1). */
  float(): number;
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array;
}

export const systemRandom: Random = {
  float: () => Math.random(),
  bytes: (length) => randomBytes(length),
};
