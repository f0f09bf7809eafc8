import type { Statement } from './ast.ts';

/** How many parameters a Bind must bring: the highest `$n` that occurs. */
export function parameterCount(statement: Statement): number {
  return highestIn(statement);
}

/** Nodes are no deeper than the grammar nests them. */
function highestIn(node: unknown): number {
  if (typeof node !== 'object' || node === null) return 0;
  if (isParameter(node)) return node.index;
  let highest = isPredicate(node) ? node.parameters.reduce((a, b) => Math.max(a, b), 0) : 0;
  for (const part of Object.values(node)) highest = Math.max(highest, highestIn(part));
  return highest;
}

function isParameter(node: object): node is { readonly index: number } {
  return 'kind' in node && node.kind === 'parameter';
}

function isPredicate(node: object): node is { readonly parameters: readonly number[] } {
  return 'kind' in node && node.kind === 'predicate';
}
