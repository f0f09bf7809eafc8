import type { JSX } from 'preact';
import { rowsOf, type Row } from '../api.ts';
import { milliseconds, pretty } from '../format.ts';
import { Moment } from '../parts/moment.tsx';
import { Empty, Hidden, Loading, Message } from '../parts/notes.tsx';
import { SourceSql, PlainText } from '../parts/sql-text.tsx';
import { Outcome } from '../parts/status.tsx';
import { useLimitedQuery, useQuery } from '../query.ts';
import { streamPath } from '../route.ts';
import { SQL } from '../statements.ts';

interface DeliveriesProps {
  readonly name: string;
  readonly status: Row;
  readonly version: string;
}

/** The newest attempts, each with what was asked and what was answered. */
export function DeliveriesTab({ name, status, version }: DeliveriesProps): JSX.Element {
  const sql = SQL.deliveries(name);
  const { answer, problem } = useQuery(sql, version);
  const isHidden = answer?.hidden.includes('response_excerpt') === true;
  return (
    <section>
      <h2 class="visually-hidden">Deliveries</h2>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer?.rows.length === 0 && (
        <Empty title="Nothing was sent yet">
          <p>Each attempt is listed here as soon as a change of {status['source']} has been sent.</p>
        </Empty>
      )}
      <ul class="entries">
        {answer !== null &&
          rowsOf(answer).map((row) => (
            <Delivery key={row['delivery_id']} row={row} status={status} isHidden={isHidden} />
          ))}
      </ul>
      <SourceSql sql={sql} />
    </section>
  );
}

const PHASES = [
  ['dns_ms', 'DNS'],
  ['connect_ms', 'connect'],
  ['tls_ms', 'TLS'],
  ['first_byte_ms', 'to the first byte'],
] as const;

/** `45 ms (connect 12 ms, to the first byte 40 ms)` */
function phasesOf(row: Row): string {
  const ms = (name: string): string => milliseconds(Number(row[name]));
  const phases = PHASES.filter(([name]) => row[name] !== null).map(([name, title]) => `${title} ${ms(name)}`);
  return phases.length === 0 ? ms('duration_ms') : `${ms('duration_ms')} (${phases.join(', ')})`;
}

/** Whether the error is not just the status again. */
function saysMore(row: Row): boolean {
  return row['error'] !== null && row['error'] !== `HTTP ${row['http_status']}`;
}

interface DeliveryProps {
  readonly row: Row;
  readonly status: Row;
  readonly isHidden: boolean;
}

function Delivery({ row, status, isHidden }: DeliveryProps): JSX.Element {
  const ids = row['event_ids'] ?? '';
  return (
    <li>
      <details class="entry">
        <summary>
          <Moment at={row['started_at']} />
          <Outcome outcome={row['outcome']} />
          <span class="number">{row['http_status'] === null ? 'no answer' : `HTTP ${row['http_status']}`}</span>
          <span class="number">{milliseconds(row['duration_ms'] === null ? null : Number(row['duration_ms']))}</span>
          <span class="number">attempt {row['attempt']}</span>
          <span class="entry-text">{saysMore(row) ? row['error'] : ids}</span>
        </summary>
        <div class="entry-body">
          <div>
            <h3>Request</h3>
            <dl class="facts">
              <div>
                <dt>To</dt>
                <dd>{status['destination']}</dd>
              </div>
              <div>
                <dt>Delivery</dt>
                <dd>
                  <code>{row['delivery_id']}</code>
                </dd>
              </div>
              <div>
                <dt>Events</dt>
                <dd>
                  <code>{ids}</code>
                </dd>
              </div>
            </dl>
          </div>
          <div>
            <h3>Answer</h3>
            <dl class="facts">
              <div>
                <dt>HTTP status</dt>
                <dd>{row['http_status'] ?? 'none came'}</dd>
              </div>
              {saysMore(row) && (
                <div>
                  <dt>Error</dt>
                  <dd>{row['error']}</dd>
                </div>
              )}
              <div>
                <dt>Took</dt>
                <dd>{phasesOf(row)}</dd>
              </div>
              {row['next_retry_at'] !== null && (
                <div>
                  <dt>Next retry</dt>
                  <dd>
                    <Moment at={row['next_retry_at']} />,{' '}
                    <a href={streamPath(row['stream_name']!, 'next')}>with this request</a>
                  </dd>
                </div>
              )}
            </dl>
            {isHidden ? (
              <Hidden what="bodies of answers" />
            ) : (
              row['response_excerpt'] && <PlainText text={pretty(row['response_excerpt'])} label="body of the answer" />
            )}
          </div>
        </div>
      </details>
    </li>
  );
}

/** The requests that would be sent next, as they would be. */
export function NextRequestsTab({ name, version }: { readonly name: string; readonly version: string }): JSX.Element {
  const sqlOf = (limit: number): string => SQL.peek(name, limit);
  const { answer, problem, sql } = useLimitedQuery(sqlOf, [10, 1], version);
  const isHidden = answer?.hidden.includes('body') === true;
  return (
    <section>
      <h2 class="visually-hidden">Next requests</h2>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer?.rows.length === 0 && (
        <Empty title="Nothing waits to be sent">
          <p>
            Everything that was captured is delivered, or among the{' '}
            <a href={streamPath(name, 'dead-letters')}>dead letters</a>.
          </p>
        </Empty>
      )}
      <ul class="entries">
        {answer !== null &&
          rowsOf(answer).map((row) => (
            <li key={row['request_id']}>
              <details class="entry">
                <summary>
                  {row['due_at'] === null ? <span class="when">next</span> : <Moment at={row['due_at']} />}
                  <span class="number">attempt {row['attempt']}</span>
                  <span class="number">
                    {row['events']} event{row['events'] === '1' ? '' : 's'}
                  </span>
                  <span class="entry-text">
                    {row['path'] !== null && row['path'] !== '' && <code>{row['path']} </code>}
                    {row['event_ids']}
                  </span>
                </summary>
                <div class="entry-body one">
                  <dl class="facts">
                    <div>
                      <dt>Events</dt>
                      <dd>
                        <code>{row['event_ids']}</code>
                      </dd>
                    </div>
                  </dl>
                  {row['headers'] !== null && <Headers json={row['headers']!} />}
                  {isHidden ? (
                    <Hidden what="bodies of requests" />
                  ) : (
                    row['body'] !== null && <PlainText text={pretty(row['body']!)} label="body of the request" />
                  )}
                </div>
              </details>
            </li>
          ))}
      </ul>
      <SourceSql sql={sql} />
    </section>
  );
}

/** The head of a request, as it would be sent now. */
function Headers({ json }: { readonly json: string }): JSX.Element {
  const lines = Object.entries(JSON.parse(json) as Record<string, string>).map(([name, value]) => `${name}: ${value}`);
  return <PlainText text={lines.join('\n')} label="head of the request" />;
}
