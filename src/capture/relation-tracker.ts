import type { DraftRelation } from '../log/change-log.ts';
import { PgoutputError } from '../postgres/pgoutput.ts';

interface Use {
  readonly oid: number;
  readonly definition: Buffer | null;
  changes: number;
}

/**
 * Which relations the chunk in the making names, and by which definition. The server describes a relation once per
 * connection (and again when it changes), so a later chunk has to name a definition that came before it.
 */
export class RelationTracker {
  readonly #definitions = new Map<number, Buffer>();
  #uses = new Map<number, Use>();
  #definedInChunk = new Set<number>();
  #latest: Use | null = null;

  /** Takes in a Relation message, tag included; `isLogged`: it is part of the chunk. */
  define(message: Buffer, isLogged: boolean): void {
    const oid = message.readUInt32BE(1);
    this.#definitions.set(oid, Buffer.from(message));
    if (isLogged && !this.#uses.has(oid)) this.#definedInChunk.add(oid);
  }

  /** Counts a change of `oid` in the chunk. Throws `PgoutputError` where the relation was never described. */
  countChange(oid: number): void {
    // Changes come in runs of one relation: no look-up within a run.
    const latest = this.#latest;
    if (latest !== null && latest.oid === oid) latest.changes++;
    else this.#latest = this.#countNext(oid);
  }

  /** The relations of the chunk, which ends here. */
  endChunk(): DraftRelation[] {
    const relations = [...this.#uses.values()];
    this.#uses = new Map();
    this.#definedInChunk = new Set();
    this.#latest = null;
    return relations;
  }

  #countNext(oid: number): Use {
    let use = this.#uses.get(oid);
    if (use === undefined) {
      const definition = this.#definitions.get(oid);
      if (definition === undefined) throw new PgoutputError('a change of a relation that was never described');
      use = { oid, definition: this.#definedInChunk.has(oid) ? null : definition, changes: 0 };
      this.#uses.set(oid, use);
    }
    use.changes++;
    return use;
  }
}
