import type { JSX } from 'preact';
import { rowsOf, type Row } from '../api.ts';
import { count, pretty } from '../format.ts';
import { Action } from '../parts/action.tsx';
import { Moment } from '../parts/moment.tsx';
import { Empty, Hidden, Loading, Message } from '../parts/notes.tsx';
import { SourceSql, PlainText } from '../parts/sql-text.tsx';
import { useLimitedQuery } from '../query.ts';
import { SHOWN_ROWS, SQL } from '../statements.ts';

/** Events that were given up on: sent again, or thrown away. */
export function DeadLettersTab({ name, version }: { readonly name: string; readonly version: string }): JSX.Element {
  const sqlOf = (limit: number): string => SQL.deadLetters(name, limit);
  const { answer, problem, reload, sql, rows: limit } = useLimitedQuery(sqlOf, SHOWN_ROWS, version);
  const rows = answer === null ? [] : rowsOf(answer);
  const isHidden = answer?.hidden.includes('payload') === true;
  return (
    <section>
      <h2 class="visually-hidden">Dead letters</h2>
      {problem !== null && <Message message={problem} />}
      {answer === null && problem === null && <Loading />}
      {answer !== null && rows.length === 0 && (
        <Empty title="No dead letters">
          <p>An event that the endpoint refuses for good, or that ran out of retries, is kept here until you decide.</p>
        </Empty>
      )}
      {rows.length > 0 && (
        <div class="bar">
          <p class="muted">{rows.length === limit ? `The first ${limit}` : `${count(String(rows.length))} in all`}</p>
          <div class="actions" role="group" aria-label="All dead letters">
            <Action
              title="Retry all"
              text="All dead letters of this stream are sent again, each with its id."
              sql={SQL.retryAll(name)}
              onDone={reload}
            />
            <Action
              title="Discard all"
              text="All dead letters of this stream are thrown away, for good."
              sql={SQL.discardAll(name)}
              isDangerous
              onDone={reload}
            />
          </div>
        </div>
      )}
      <ul class="entries">
        {rows.map((row) => (
          <DeadLetter key={row['id']} name={name} row={row} isHidden={isHidden} reload={reload} />
        ))}
      </ul>
      <SourceSql sql={sql} />
    </section>
  );
}

interface DeadLetterProps {
  readonly name: string;
  readonly row: Row;
  readonly isHidden: boolean;
  readonly reload: () => void;
}

function DeadLetter({ name, row, isHidden, reload }: DeadLetterProps): JSX.Element {
  const id = row['id']!;
  return (
    <li>
      <details class="entry">
        <summary>
          <Moment at={row['parked_at']} />
          <span class="op">{row['op']}</span>
          <span>
            {row['schema_name']}.{row['table_name']}
          </span>
          {row['key'] !== null && <code class="event-key">{row['key']}</code>}
          <span class="entry-text">{row['reason']}</span>
        </summary>
        <div class="entry-body one">
          <dl class="facts across">
            <div>
              <dt>Event</dt>
              <dd>
                <code>{id}</code>
              </dd>
            </div>
            <div>
              <dt>HTTP status</dt>
              <dd>{row['http_status'] ?? 'none came'}</dd>
            </div>
            <div>
              <dt>Attempts</dt>
              <dd>{row['attempts']}</dd>
            </div>
            <div>
              <dt>First failed</dt>
              <dd>
                <Moment at={row['first_failed_at']} />
              </dd>
            </div>
          </dl>
          {isHidden ? (
            <Hidden what="keys, payloads and answers" />
          ) : (
            row['payload'] !== null && <PlainText text={pretty(row['payload']!)} label="payload" />
          )}
          {row['response_excerpt'] && (
            <div>
              <h3>Last answer</h3>
              <PlainText text={pretty(row['response_excerpt'])} label="last answer" />
            </div>
          )}
          <div class="actions" role="group" aria-label={`Dead letter ${id}`}>
            <Action
              title="Retry"
              label={`Retry dead letter ${id}`}
              text="The event is sent again, with its id."
              sql={SQL.retry(name, id)}
              onDone={reload}
            />
            <Action
              title="Discard"
              label={`Discard dead letter ${id}`}
              text="The event is thrown away, for good."
              sql={SQL.discard(name, id)}
              isDangerous
              onDone={reload}
            />
          </div>
        </div>
      </details>
    </li>
  );
}
