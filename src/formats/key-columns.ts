import type { Relation } from '../postgres/pgoutput.ts';

/**
 * Which columns of a relation are an event's key, as indexes in the relation's order: those of the replica identity; with
 * REPLICA IDENTITY FULL, where every column is flagged, the primary key's if all of them are there. Empty: the table has
 * no key, and all of its events are one lane.
 */
export function keyColumnIndexes(relation: Relation, primaryKey: readonly string[]): readonly number[] {
  if (relation.replicaIdentity !== 'f') {
    return relation.columns.flatMap((column, i) => (column.isKey ? [i] : []));
  }
  const indexes = primaryKey.map((name) => relation.columns.findIndex((column) => column.name === name));
  return indexes.includes(-1) ? [] : indexes.toSorted((a, b) => a - b);
}
