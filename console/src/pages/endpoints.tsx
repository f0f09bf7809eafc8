import type { JSX } from 'preact';
import { rowsOf, type Row } from '../api.ts';
import { NONE } from '../format.ts';
import { Action } from '../parts/action.tsx';
import { Moment } from '../parts/moment.tsx';
import { Empty, Loading, Message } from '../parts/notes.tsx';
import { SourceSql, SqlText } from '../parts/sql-text.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { useQuery } from '../query.ts';
import { SQL } from '../statements.ts';

const COLUMNS: readonly Column[] = [
  {
    title: 'Endpoint',
    isHead: true,
    cell: (row) => (
      <>
        {row['endpoint_name']}
        <span class="under">{row['url']}</span>
      </>
    ),
  },
  {
    title: 'Options',
    isWide: true,
    cell: (row) => <code>{row['options'] === null || row['options'] === '' ? NONE : row['options']}</code>,
  },
  { title: 'Used by', cell: (row) => row['used_by'] ?? 'nothing' },
  { title: 'Owner', cell: (row) => row['owner'] },
  { title: 'Created', cell: (row) => <Moment at={row['created_at']} /> },
  { title: 'Actions', cell: (row) => <TestEndpoint row={row} /> },
];

const EXAMPLE = `CREATE CDC ENDPOINT billing AS 'https://example.com/hooks' WITH (signing_secret = SECRET billing_key)`;

export function EndpointsPage(): JSX.Element {
  const { answer, problem } = useQuery(SQL.endpoints);
  return (
    <main id="main" tabIndex={-1}>
      <div class="page-head">
        <h1>Endpoints</h1>
      </div>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer?.rows.length === 0 && (
        <Empty title="There are no endpoints">
          <p>An endpoint is a URL with its secrets and limits under one name, for as many streams as you like:</p>
          <SqlText sql={EXAMPLE} label="SQL" />
          <p>Streams whose statement has the URL itself are not listed here.</p>
        </Empty>
      )}
      {answer !== null && answer.rows.length > 0 && (
        <Table caption="Endpoints" columns={COLUMNS} rows={rowsOf(answer)} keyOf={(row) => row['endpoint_name']!} />
      )}
      <SourceSql sql={SQL.endpoints} />
    </main>
  );
}

function TestEndpoint({ row }: { readonly row: Row }): JSX.Element {
  const name = row['endpoint_name']!;
  return (
    <Action
      title="Test"
      label={`Test endpoint ${name}`}
      text="One signed event of the type cdc.test is sent to the endpoint. No row is in it."
      sql={SQL.testEndpoint(name)}
      isSmall
    />
  );
}
