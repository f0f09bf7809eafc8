import type { StreamOptions } from '../model/stream-options.ts';
import type { EnvelopeName, StreamTable, StreamTransform } from '../model/stream.ts';
import type { TransformCheck } from '../model/transform-check.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { PlacedTransform } from '../sql/command.ts';
import type { Questioner } from './question.ts';
import { tableColumns } from './table-columns.ts';

/** The stream that the transform is for. */
export interface TransformedStream {
  readonly envelope: EnvelopeName;
  readonly options: Pick<StreamOptions, 'numbers' | 'includeTransaction'>;
  readonly database: string;
  readonly tables: readonly StreamTable[];
}

/**
 * The transform, tried on an INSERT into the stream's first table. 42601 where it is none, 22023 where it fails: at the
 * transform's text.
 */
export async function checkedTransform(
  { language, text, position }: PlacedTransform,
  { envelope, options, database, tables }: TransformedStream,
  control: TransformCheck,
  questioner: Questioner,
): Promise<StreamTransform> {
  const transform = { language, text };
  const [table] = tables;
  const known = table === undefined ? null : await tableColumns(table.oid, questioner);
  const columns = (known?.columns ?? []).filter(({ name }) => {
    return known?.generated.has(name) !== true && table?.columns?.includes(name) !== false;
  });
  const fault = await control.checkTransform(transform, {
    envelope,
    numbers: options.numbers,
    includeTransaction: options.includeTransaction,
    database,
    schema: table?.schema ?? 'public',
    table: table?.name ?? 'sample',
    keyColumns: table?.keyColumns ?? [],
    columns: columns.map(({ name, typeOid }) => ({ name, typeOid })),
  });
  if (fault === null) return transform;
  const what = language === 'jsonpath' ? 'JSONPath' : 'template';
  throw fault.isSyntax
    ? new PgError('syntax_error', `syntax error in the ${what}: ${fault.message}`, { position })
    : new PgError('invalid_parameter_value', `the ${what} fails on an INSERT into the table`, {
        detail: `${fault.message}.`,
        position,
      });
}
