import { hash } from 'node:crypto';

/**
 * The slot of one upstream database of one walhook, and the folder of what is captured through it: lower case letters,
 * digits and underscores, as PostgreSQL's names of slots are.
 */
export function slotNameOf(instanceId: string, database: string): string {
  return slotNameFrom(`${instanceId}\n${database}`);
}

/** Of the versions that captured one database: a catalog that has it keeps it. */
export function onlySlotNameOf(instanceId: string): string {
  return slotNameFrom(instanceId);
}

function slotNameFrom(text: string): string {
  return `walhook_${hash('sha256', text).slice(0, 16)}`;
}
