import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { rowsOf, type Row } from '../api.ts';
import { bytes, NONE } from '../format.ts';
import { Empty, Loading, Message } from '../parts/notes.tsx';
import { SourceSql, SqlText } from '../parts/sql-text.tsx';
import { Badge } from '../parts/status.tsx';
import { Table, type Column } from '../parts/table.tsx';
import { useQuery } from '../query.ts';
import { SQL } from '../statements.ts';

const RELOAD_MS = 5_000;

const WAL_TONES: Readonly<Record<string, 'good' | 'warn' | 'bad'>> = {
  reserved: 'good',
  extended: 'warn',
  unreserved: 'bad',
  lost: 'bad',
};

const SLOTS: readonly Column[] = [
  {
    title: 'Slot',
    isHead: true,
    cell: (row) => (
      <>
        <code>{row['slot_name']}</code>
        <span class="under">database {row['database']}</span>
      </>
    ),
  },
  {
    title: 'Active',
    cell: (row) =>
      row['active'] === 't' ? <Badge tone="good" text={`pid ${row['active_pid']}`} /> : <Badge tone="warn" text="no" />,
  },
  {
    title: 'WAL',
    cell: (row) =>
      row['wal_status'] === null ? (
        NONE
      ) : (
        <Badge tone={WAL_TONES[row['wal_status']!] ?? 'warn'} text={row['wal_status']!} />
      ),
  },
  { title: 'Retained', isNumber: true, cell: (row) => bytes(row['retained_bytes']) },
  { title: 'Lag', isNumber: true, cell: (row) => bytes(row['lag_bytes']) },
  {
    title: 'Until it is lost',
    isNumber: true,
    cell: (row) => (row['safe_wal_bytes'] === null ? 'no limit' : bytes(row['safe_wal_bytes'])),
  },
  { title: 'Confirmed', isNumber: true, cell: (row) => <code>{row['confirmed_lsn'] ?? NONE}</code> },
  { title: 'Restart', isNumber: true, cell: (row) => <code>{row['restart_lsn'] ?? NONE}</code> },
];

const CHECKS: readonly Column[] = [
  { title: 'Requirement', isHead: true, cell: (row) => row['requirement'] },
  {
    title: 'Met',
    cell: (row) => (row['ok'] === 't' ? <Badge tone="good" text="yes" /> : <Badge tone="bad" text="no" />),
  },
  { title: 'Found', cell: (row) => row['found'] },
  {
    title: 'What to do',
    isWide: true,
    cell: (row) => (row['fix'] === null ? NONE : <SqlText sql={row['fix']!} label="what to do" />),
  },
];

const MET = CHECKS.slice(0, 3);

/** What the upstream holds for walhook, and whether it can. */
export function ReplicationPage(): JSX.Element {
  const [round, setRound] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setRound((before) => before + 1), RELOAD_MS);
    return () => clearInterval(timer);
  }, []);
  const slots = useQuery(SQL.slots, round);
  const check = useQuery(SQL.check);
  return (
    <main id="main" tabIndex={-1}>
      <div class="page-head">
        <h1>Replication</h1>
      </div>
      <section>
        <h2>Slots</h2>
        {slots.problem !== null && <Message message={slots.problem} />}
        {slots.answer === null && slots.problem === null && <Loading />}
        {slots.answer?.rows.length === 0 && (
          <Empty title="walhook holds no slot">
            <p>
              The first stream of a database makes one, the last one takes it away. Without a slot no WAL is retained.
            </p>
          </Empty>
        )}
        {slots.answer !== null && slots.answer.rows.length > 0 && (
          <Table caption="Slots" columns={SLOTS} rows={rowsOf(slots.answer)} keyOf={(row) => row['slot_name']!} />
        )}
        <SourceSql sql={SQL.slots} />
      </section>
      <section>
        <div class="bar">
          <h2>Requirements</h2>
          <button type="button" class="button small" onClick={check.reload}>
            Check again
          </button>
        </div>
        {check.problem !== null && <Message message={check.problem} />}
        {check.answer === null && check.problem === null && <Loading />}
        {check.answer !== null && <Requirements rows={rowsOf(check.answer)} />}
        <SourceSql sql={SQL.check} />
      </section>
    </main>
  );
}

/** What is not met comes first; the rest can be looked at. */
function Requirements({ rows }: { readonly rows: readonly Row[] }): JSX.Element {
  const unmet = rows.filter((row) => row['ok'] !== 't');
  const met = rows.filter((row) => row['ok'] === 't');
  return (
    <>
      {unmet.length > 0 && (
        <Table caption="Requirements that are not met" columns={CHECKS} rows={unmet} keyOf={(_row, at) => String(at)} />
      )}
      <details class="more">
        <summary>
          <Badge tone="good" text={unmet.length === 0 ? `all ${met.length} are met` : `${met.length} others are met`} />
        </summary>
        <Table caption="Requirements that are met" columns={MET} rows={met} keyOf={(_row, at) => String(at)} />
      </details>
    </>
  );
}
