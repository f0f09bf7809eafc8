import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { rowsOf, type Row } from '../api.ts';
import { bytes, count, seconds } from '../format.ts';
import { useLive, type Live } from '../live.ts';
import { Empty, Loading, Message } from '../parts/notes.tsx';
import { Sparkline } from '../parts/sparkline.tsx';
import { SourceSql, SqlText } from '../parts/sql-text.tsx';
import { Circuit, Status } from '../parts/status.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { streamPath } from '../route.ts';
import { useSession } from '../session.ts';
import { SQL } from '../statements.ts';
import { LiveState } from '../shell.tsx';

const NEEDS_LOOK = new Set(['failed', 'circuit_open', 'retrying']);

export function StreamsPage(): JSX.Element {
  const { check } = useSession();
  const live = useLive(null, check);
  const rows = live.answer === null ? null : rowsOf(live.answer);
  return (
    <main id="main" tabIndex={-1}>
      <div class="page-head">
        <h1>Streams</h1>
        <LiveState isLive={live.isLive} />
      </div>
      {live.problem !== null && <Message message={live.problem} />}
      {rows === null ? live.problem === null && <Loading /> : <Streams rows={rows} live={live} />}
      <SourceSql sql={SQL.streams} />
    </main>
  );
}

function Streams({ rows, live }: { readonly rows: readonly Row[]; readonly live: Live }): JSX.Element {
  const [sought, setSought] = useState('');
  const columns = useMemo(() => columnsOf(live), [live]);
  if (rows.length === 0) return <NoStreams />;
  const wanted = sought.trim().toLowerCase();
  const shown = rows.filter((row) =>
    ['stream_name', 'source', 'destination', 'status'].some((name) => row[name]?.toLowerCase().includes(wanted)),
  );
  const total = (name: string): string => count(String(rows.reduce((sum, row) => sum + Number(row[name] ?? 0), 0)));
  const amiss = rows.filter(({ status }) => NEEDS_LOOK.has(status ?? '')).length;
  return (
    <>
      <dl class="tiles">
        <Tile title="Streams" value={count(String(rows.length))} />
        <Tile title="Need a look" value={count(String(amiss))} tone={amiss > 0 ? 'bad' : ''} />
        <Tile title="Pending events" value={total('pending_events')} />
        <Tile title="Delivered" value={total('events_delivered')} />
        <Tile title="Dead letters" value={total('dead_letters')} tone={total('dead_letters') === '0' ? '' : 'warn'} />
      </dl>
      {rows.length > 8 && (
        <label class="search">
          <span class="visually-hidden">Find a stream</span>
          <input
            type="search"
            placeholder="Find by name, table, destination or status"
            value={sought}
            onInput={(event) => setSought(event.currentTarget.value)}
          />
        </label>
      )}
      {shown.length === 0 ? (
        <Empty title="No stream is like that" />
      ) : (
        <Table caption="Streams" columns={columns} rows={shown} keyOf={(row) => row['stream_name']!} />
      )}
    </>
  );
}

function Tile({ title, value, tone = '' }: { readonly title: string; readonly value: string; readonly tone?: string }) {
  return (
    <div class={`tile ${tone}`}>
      <dt>{title}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function columnsOf(live: Live): readonly Column[] {
  return [
    {
      title: 'Stream',
      isHead: true,
      cell: (row) => (
        <>
          <a href={streamPath(row['stream_name']!)}>{row['stream_name']}</a>
          <span class="under">
            {row['source']} → {row['destination']}
          </span>
        </>
      ),
    },
    {
      title: 'Status',
      cell: (row) => (
        <>
          <Status status={row['status']} />
          {row['status_reason'] !== null && <span class="under reason">{row['status_reason']}</span>}
        </>
      ),
    },
    { title: 'Throughput', cell: (row) => <Sparkline samples={live.samples[row['stream_name']!]} /> },
    {
      title: 'Lag',
      isNumber: true,
      cell: (row) => (
        <>
          {seconds(Number(row['lag_seconds']))}
          <span class="under">{bytes(row['lag_bytes'])}</span>
        </>
      ),
    },
    { title: 'Pending', isNumber: true, cell: (row) => count(row['pending_events']) },
    { title: 'Delivered', isNumber: true, cell: (row) => count(row['events_delivered']) },
    { title: 'Failed', isNumber: true, cell: (row) => count(row['events_failed']) },
    {
      title: 'Dead letters',
      isNumber: true,
      cell: (row) =>
        row['dead_letters'] === '0' ? (
          '0'
        ) : (
          <a class="warn" href={streamPath(row['stream_name']!, 'dead-letters')}>
            {count(row['dead_letters'])}
          </a>
        ),
    },
    { title: 'Circuit', cell: (row) => <Circuit state={row['circuit_state']} /> },
  ];
}

function NoStreams(): JSX.Element {
  return (
    <Empty title="There are no streams yet">
      <p>
        A stream sends each change of a table to an endpoint. Connect with psql to walhook’s SQL port and create one:
      </p>
      <SqlText sql={SQL.createExample} label="SQL" />
      <p>
        It shows up here at once. <code>EXPLAIN CREATE CDC STREAM …</code> says beforehand what it would do, and{' '}
        <a href="#/replication">Replication</a> whether the server is ready for it.
      </p>
    </Empty>
  );
}
