import type { JSX } from 'preact';
import { rowsOf } from '../api.ts';
import { Moment } from '../parts/moment.tsx';
import { Loading, Message } from '../parts/notes.tsx';
import { SourceSql } from '../parts/sql-text.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { useQuery } from '../query.ts';
import { SQL } from '../statements.ts';

const COLUMNS: readonly Column[] = [
  { title: 'When', isHead: true, cell: (row) => <Moment at={row['at']} /> },
  { title: 'Who', cell: (row) => row['actor'] },
  { title: 'What', cell: (row) => row['action'] },
  { title: 'Detail', isWide: true, cell: (row) => row['detail'] },
];

/** Who has changed what, newest first. */
export function HistoryTab({ name, version }: { readonly name: string; readonly version: string }): JSX.Element {
  const sql = SQL.history(name);
  const { answer, problem } = useQuery(sql, version);
  return (
    <section>
      <h2 class="visually-hidden">History</h2>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer !== null && (
        <Table caption="History" columns={COLUMNS} rows={rowsOf(answer)} keyOf={(_row, at) => String(at)} />
      )}
      <SourceSql sql={sql} />
    </section>
  );
}
