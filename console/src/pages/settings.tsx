import type { JSX } from 'preact';
import { rowsOf } from '../api.ts';
import { NONE } from '../format.ts';
import { Loading, Message } from '../parts/notes.tsx';
import { SourceSql } from '../parts/sql-text.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { useQuery } from '../query.ts';
import { SQL } from '../statements.ts';

const COLUMNS: readonly Column[] = [
  { title: 'Setting', isHead: true, cell: (row) => <code>--{row['name']}</code> },
  { title: 'Value', cell: (row) => <code>{row['value'] === '' || row['value'] === null ? NONE : row['value']}</code> },
  { title: 'From', cell: (row) => row['source'] },
  { title: 'What it is', isWide: true, cell: (row) => <span class="muted">{row['description']}</span> },
];

export function SettingsPage(): JSX.Element {
  const { answer, problem } = useQuery(SQL.settings);
  return (
    <main id="main" tabIndex={-1}>
      <div class="page-head">
        <h1>Settings</h1>
      </div>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer !== null && (
        <Table caption="Settings" columns={COLUMNS} rows={rowsOf(answer)} keyOf={(row) => row['name']!} />
      )}
      <SourceSql sql={SQL.settings} />
    </main>
  );
}
