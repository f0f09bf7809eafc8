import type { JSX } from 'preact';
import { rowsOf } from '../api.ts';
import { NONE } from '../format.ts';
import { Message, Loading } from '../parts/notes.tsx';
import { SourceSql, SqlText } from '../parts/sql-text.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { useQuery } from '../query.ts';
import { SQL } from '../statements.ts';

const TABLES: readonly Column[] = [
  { title: 'Table', isHead: true, cell: (row) => `${row['schema_name']}.${row['table_name']}` },
  { title: 'Key', cell: (row) => row['key_columns'] ?? NONE },
  { title: 'Columns', cell: (row) => row['columns'] ?? 'all' },
  {
    title: 'Row filter',
    isWide: true,
    cell: (row) => (row['row_filter'] === null ? NONE : <code>{row['row_filter']}</code>),
  },
];

const OPTIONS: readonly Column[] = [
  { title: 'Option', isHead: true, cell: (row) => <code>{row['option']}</code> },
  { title: 'Value', cell: (row) => <code>{row['value'] === null || row['value'] === '' ? NONE : row['value']}</code> },
  { title: 'From', cell: (row) => row['source'] },
  { title: 'What it is', isWide: true, cell: (row) => <span class="muted">{row['description']}</span> },
];

export function DefinitionTab({ name }: { readonly name: string }): JSX.Element {
  const definition = useQuery(SQL.definition(name));
  const tables = useQuery(SQL.tables(name));
  const options = useQuery(SQL.options(name));
  const statement = definition.answer?.rows[0]?.[1] ?? null;
  return (
    <>
      <section>
        <h2>Definition</h2>
        {definition.problem !== null && <Message message={definition.problem} />}
        {statement === null ? (
          definition.problem === null && <Loading />
        ) : (
          <SqlText sql={statement} label="definition" />
        )}
        {definition.answer?.notices.map((notice) => (
          <Message key={notice.message} message={notice} />
        ))}
        <SourceSql sql={SQL.definition(name)} />
      </section>
      <section>
        <h2>Tables</h2>
        {tables.problem !== null && <Message message={tables.problem} />}
        {tables.answer !== null && (
          <Table caption="Tables" columns={TABLES} rows={rowsOf(tables.answer)} keyOf={(_row, at) => String(at)} />
        )}
        <SourceSql sql={SQL.tables(name)} />
      </section>
      <section>
        <h2>Options</h2>
        {options.problem !== null && <Message message={options.problem} />}
        {options.answer !== null && (
          <Table caption="Options" columns={OPTIONS} rows={rowsOf(options.answer)} keyOf={(row) => row['option']!} />
        )}
        <SourceSql sql={SQL.options(name)} />
      </section>
    </>
  );
}
