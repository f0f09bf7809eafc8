/** What stands wherever a value is not shown. */
export const HIDDEN_VALUE = '***';

/**
 * Bytes that nobody may see. Whatever prints it (a template string, JSON, an inspection, a logger) gets `***`; only
 * `reveal` gives the bytes.
 */
export class SecretValue {
  readonly #bytes: Buffer;

  constructor(value: string | Uint8Array) {
    this.#bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
  }

  /** The bytes themselves, for signing, encrypting and sending, and for nothing that is shown. */
  reveal(): Buffer {
    return Buffer.from(this.#bytes);
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  /** It is no value, but what stands for one where it is not shown. */
  get isHidden(): boolean {
    return this.#bytes.toString('latin1') === HIDDEN_VALUE;
  }

  toString(): string {
    return HIDDEN_VALUE;
  }

  toJSON(): string {
    return HIDDEN_VALUE;
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN_VALUE;
  }

  // `util.inspect` and console.log look for it by this key; model imports nothing of Node's.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return HIDDEN_VALUE;
  }
}

/** The longest value of a secret: a chain of certificates fits. */
export const MAX_SECRET_BYTES = 65_536;

/** Where a secret's value comes from: what was given, or what the environment or a file has whenever it is used. */
export type SecretSource =
  | { readonly kind: 'value'; readonly value: SecretValue }
  | { readonly kind: 'env'; readonly variable: string }
  | { readonly kind: 'file'; readonly path: string };

/** How a definition names a secret. `unnamed`: it was a literal, belongs to its stream alone, and is not listed. */
export interface SecretReference {
  readonly kind: 'secret';
  readonly name: string;
  readonly unnamed?: true;
}

/** An option's secret: `SECRET name`, or a literal of the statement's own, which the catalog encrypts and refers to. */
export type OptionSecret = SecretReference | SecretValue;

/** A secret as `SHOW CDC SECRETS` has it: never its value. */
export interface SecretInfo {
  readonly name: string;
  readonly source: SecretSource['kind'];
  /** The variable's name or the file's path; null for a stored value. */
  readonly location: string | null;
  /** How many values are valid now: more than one while an old one is kept. */
  readonly versions: number;
  /** `stream orders`, `endpoint billing`, by name. */
  readonly usedBy: readonly string[];
  readonly createdAtMs: number;
  readonly owner: string;
  /** Why it cannot be used now (a variable or file that is missing), or null. */
  readonly problem: string | null;
}
