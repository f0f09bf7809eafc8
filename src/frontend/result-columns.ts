import { DELIVERY_COLUMNS } from './delivery-commands.ts';
import { PLAN_COLUMNS } from './explain.ts';
import type { Column } from './result.ts';
import { STREAM_SHOW_COLUMNS } from './show.ts';
import { OBJECT_COLUMNS } from './show-objects.ts';
import { UPSTREAM_COLUMNS } from './show-upstream.ts';

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  ...STREAM_SHOW_COLUMNS,
  ...OBJECT_COLUMNS,
  ...DELIVERY_COLUMNS,
  ...UPSTREAM_COLUMNS,
  'explain-create-stream': PLAN_COLUMNS,
};

/** The columns of a statement's result, known before it runs; empty where it returns no rows. */
export function columnsOf(kind: string): readonly Column[] {
  return COLUMNS[kind] ?? [];
}
