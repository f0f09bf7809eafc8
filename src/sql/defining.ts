import type { DefiningStatement, Statement } from './ast.ts';

const DEFINING: Readonly<Record<DefiningStatement['kind'], true>> = {
  'create-stream': true,
  'alter-stream': true,
  'drop-streams': true,
  'drop-endpoints': true,
  'drop-secrets': true,
  'create-endpoint': true,
  'alter-endpoint': true,
  'create-secret': true,
  'alter-secret': true,
  'comment-on-stream': true,
};

/** Whether the statement changes a definition. */
export function isDefining(statement: Statement): statement is DefiningStatement {
  return statement.kind in DEFINING;
}
