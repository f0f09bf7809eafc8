import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { propertiesOf, type Row } from '../api.ts';
import { bytes, compact, count, milliseconds, rate, seconds } from '../format.ts';
import { useLive, type Live } from '../live.ts';
import { Action } from '../parts/action.tsx';
import { Chart, type Line } from '../parts/chart.tsx';
import { Icon } from '../parts/icons.tsx';
import { Ago, Moment } from '../parts/moment.tsx';
import { Loading, Message } from '../parts/notes.tsx';
import { SourceSql } from '../parts/sql-text.tsx';
import { Circuit, Status } from '../parts/status.tsx';
import { STREAM_TABS, streamPath, type StreamTab } from '../route.ts';
import { useSession } from '../session.ts';
import { LiveState } from '../shell.tsx';
import { SQL } from '../statements.ts';
import { DeadLettersTab } from './stream-dead-letters.tsx';
import { DefinitionTab } from './stream-definition.tsx';
import { DeliveriesTab, NextRequestsTab } from './stream-deliveries.tsx';
import { HistoryTab } from './stream-history.tsx';

const TITLES: Readonly<Record<StreamTab, string>> = {
  overview: 'Overview',
  deliveries: 'Deliveries',
  'dead-letters': 'Dead letters',
  next: 'Next requests',
  definition: 'Definition',
  history: 'History',
};

export function StreamPage({ name, tab }: { readonly name: string; readonly tab: StreamTab }): JSX.Element {
  const { check } = useSession();
  const live = useLive(name, check);
  const status = live.answer === null ? null : propertiesOf(live.answer);
  const tabs = useRef<HTMLElement>(null);
  const isThere = status !== null;
  // On a phone the tabs scroll.
  useEffect(() => {
    tabs.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [tab, isThere]);
  return (
    <main id="main" tabIndex={-1}>
      <a class="back" href="#/">
        <Icon name="back" /> Streams
      </a>
      <div class="page-head">
        <h1>{name}</h1>
        {status !== null && <Status status={status['status']} />}
        <LiveState isLive={live.isLive} />
        {status !== null && <Actions name={name} status={status} />}
      </div>
      {live.problem !== null && <Message message={live.problem} />}
      {status !== null && status['status_reason'] !== null && (
        <p class={`reason-line ${status['status']}`}>
          <Icon name="warning" /> {status['status_reason']}
        </p>
      )}
      {status === null ? (
        live.problem === null && <Loading />
      ) : (
        <>
          <nav class="tabs" aria-label={`Parts of the stream ${name}`} ref={tabs}>
            {STREAM_TABS.map((one) => (
              <a key={one} href={streamPath(name, one)} aria-current={one === tab ? 'page' : undefined}>
                {TITLES[one]}
                {one === 'dead-letters' && status['dead_letters'] !== '0' && (
                  <span class="count">{count(status['dead_letters'])}</span>
                )}
              </a>
            ))}
          </nav>
          <Tab name={name} tab={tab} status={status} live={live} />
        </>
      )}
    </main>
  );
}

function Actions({ name, status }: { readonly name: string; readonly status: Row }): JSX.Element {
  const isPaused = status['paused_at'] !== null;
  // One that stopped by itself is paused, and nobody has paused it.
  const hasStopped = status['status'] === 'paused' && !isPaused;
  return (
    <div class="actions" role="group" aria-label="Actions">
      {status['circuit_state'] !== 'closed' && (
        <Action
          title="Reset circuit"
          text="Requests are sent again at once, as if the endpoint had never failed."
          sql={SQL.resetCircuit(name)}
        />
      )}
      {hasStopped && (
        <Action
          title="Restart"
          text="What waits is tried at once, with all of its retries before it."
          sql={SQL.restart(name)}
          isMain
        />
      )}
      <Action
        title="Test"
        text="One signed event of the type cdc.test is sent to the endpoint. No row is in it."
        sql={SQL.testStream(name)}
      />
      {isPaused ? (
        <Action title="Resume" text="The stream goes on where it stopped." sql={SQL.resume(name)} isMain />
      ) : (
        <Action
          title="Pause"
          text="Nothing more is sent. Changes are kept, and the stream goes on where it stopped when it is resumed."
          sql={SQL.pause(name)}
        />
      )}
    </div>
  );
}

interface TabProps {
  readonly name: string;
  readonly tab: StreamTab;
  readonly status: Row;
  readonly live: Live;
}

function Tab({ name, tab, status, live }: TabProps): JSX.Element {
  // What was counted since tells that there is something new to show.
  const version = ['events_delivered', 'events_failed', 'dead_letters', 'status'].map((key) => status[key]).join();
  switch (tab) {
    case 'overview':
      return <Overview name={name} status={status} live={live} />;
    case 'deliveries':
      return <DeliveriesTab name={name} status={status} version={version} />;
    case 'dead-letters':
      return <DeadLettersTab name={name} version={version} />;
    case 'next':
      return <NextRequestsTab name={name} version={`${version},${status['pending_events']}`} />;
    case 'definition':
      return <DefinitionTab name={name} />;
    case 'history':
      return <HistoryTab name={name} version={version} />;
  }
}

const EVENTS: readonly Line[] = [
  { series: 'captured', title: 'captured', colour: '--series-1', isDashed: true },
  { series: 'delivered', title: 'delivered', colour: '--series-2' },
  { series: 'failed', title: 'failed', colour: '--series-3' },
];
const LATENCY: readonly Line[] = [
  { series: 'p50Ms', title: 'p50', colour: '--series-1' },
  { series: 'p99Ms', title: 'p99', colour: '--series-4' },
];
const LAG: readonly Line[] = [{ series: 'lagSeconds', title: 'oldest pending event', colour: '--series-1' }];
const PENDING: readonly Line[] = [{ series: 'pending', title: 'events', colour: '--series-1' }];

function Overview({ name, status, live }: Omit<TabProps, 'tab'>): JSX.Element {
  const samples = live.samples[name];
  return (
    <>
      <h2 class="visually-hidden">Charts</h2>
      <div class="charts">
        <Chart title="Events" lines={EVENTS} samples={samples} format={rate} />
        <Chart title="Delivery time" lines={LATENCY} samples={samples} format={milliseconds} />
        <Chart title="Lag" lines={LAG} samples={samples} format={seconds} />
        <Chart title="Pending" lines={PENDING} samples={samples} format={compact} />
      </div>
      <div class="fact-groups">
        <Facts
          title="Delivery"
          facts={[
            ['Captured', count(status['events_captured'])],
            ['Delivered', count(status['events_delivered'])],
            ['Failed, each time', count(status['events_failed'])],
            ['Retried', count(status['events_retried'])],
            ['Filtered out', count(status['events_filtered'])],
            ['Pending', count(status['pending_events'])],
            ['In flight', count(status['in_flight'])],
            ['Dead letters', count(status['dead_letters'])],
            ['Last delivery', <Ago at={status['last_delivery_at']} />],
          ]}
        />
        <Facts
          title="Endpoint"
          facts={[
            ['Destination', status['destination'] ?? ''],
            ['Circuit', <Circuit state={status['circuit_state']} />],
            ['Opened', <Moment at={status['circuit_opened_at']} />],
            ['Next probe', <Moment at={status['circuit_next_probe_at']} />],
            ['Last HTTP status', status['last_http_status'] ?? '–'],
            ['Last error', status['last_error'] ?? '–'],
            ['Last error at', <Moment at={status['last_error_at']} />],
            ['Next retry', <Moment at={status['next_retry_at']} />],
          ]}
        />
        <Facts
          title="Source"
          facts={[
            ['Tables', status['source'] ?? ''],
            ['Database', status['database'] ?? ''],
            ['Slot', status['slot_name'] ?? '–'],
            ['WAL status', status['slot_wal_status'] ?? '–'],
            ['Received', status['received_lsn'] ?? '–'],
            ['Confirmed', status['confirmed_lsn'] ?? '–'],
            ['Upstream is at', status['upstream_lsn'] ?? '–'],
            ['Lag', `${seconds(Number(status['lag_seconds']))}, ${bytes(status['lag_bytes'])}`],
            ...backfillFacts(status),
            ['Owner', status['owner'] ?? ''],
            ['Created', <Moment at={status['created_at']} />],
          ]}
        />
      </div>
      <SourceSql sql={SQL.status(name)} />
    </>
  );
}

type Fact = readonly [title: string, value: JSX.Element | string];

function backfillFacts(status: Row): readonly Fact[] {
  if (status['synced'] === null) return [];
  const rows = `${count(status['backfill_rows_done'])} of ${count(status['backfill_rows_total'])} rows`;
  return [['Backfill', status['synced'] === 't' ? `done, ${rows}` : rows]];
}

function Facts({ title, facts }: { readonly title: string; readonly facts: readonly Fact[] }): JSX.Element {
  return (
    <section class="panel">
      <h2>{title}</h2>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
