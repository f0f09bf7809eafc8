/** One webhook as the tour expects it: its body, apart from what differs from run to run. */
export interface ExpectedWebhook {
  readonly op: 'insert' | 'update' | 'delete';
  readonly key: Readonly<Record<string, string>>;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly changed?: readonly string[];
  readonly before_complete?: boolean;
}

export interface TourStep {
  /** What the visitor is told before it. */
  readonly say?: string;
  readonly sql: string;
  /** As psql's `\x on`. */
  readonly expanded?: boolean;
  /** Webhooks that this statement causes; the next step waits for them. */
  readonly webhooks?: readonly ExpectedWebhook[];
  /** The SQLSTATE that this statement must fail with. */
  readonly fails?: string;
}

export const TOUR_TABLE = 'orders';
export const TOUR_STREAM = 'orders_cdc_stream';

const alice = { id: '1', customer: 'Alice', total: '42.00' };
const bob = { id: '2', customer: 'Bob', total: '7.50' };
const carol = { id: '3', customer: 'Carol', total: '120.00' };

/** The tour, statement by statement, with what must arrive at `url`. */
export function tourSteps(url: string): readonly TourStep[] {
  return [
    {
      say: 'An ordinary table. walhook passes this on to PostgreSQL untouched.',
      sql: `CREATE TABLE ${TOUR_TABLE} (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    total    numeric(10,2) NOT NULL,
    status   text NOT NULL DEFAULT 'open'
);`,
    },
    {
      say: 'This one walhook answers itself: from now on every committed change of the table reaches the endpoint.',
      sql: `CREATE CHANGE DATA CAPTURE ON ${TOUR_TABLE} TO WEBHOOK '${url}' FORMAT JSON;`,
    },
    {
      sql: `INSERT INTO ${TOUR_TABLE} (customer, total) VALUES ('Alice', 42), ('Bob', 7.50);`,
      webhooks: [
        { op: 'insert', key: { id: '1' }, before: null, after: { ...alice, status: 'open' } },
        { op: 'insert', key: { id: '2' }, before: null, after: { ...bob, status: 'open' } },
      ],
    },
    {
      sql: `UPDATE ${TOUR_TABLE} SET status = 'paid' WHERE customer = 'Alice';`,
      webhooks: [
        {
          op: 'update',
          key: { id: '1' },
          before: { id: '1' },
          after: { ...alice, status: 'paid' },
          before_complete: false,
        },
      ],
    },
    {
      say: 'With the whole old row in the WAL, an update shows what it changed.',
      sql: `ALTER TABLE ${TOUR_TABLE} REPLICA IDENTITY FULL;`,
    },
    {
      sql: `UPDATE ${TOUR_TABLE} SET status = 'shipped' WHERE customer = 'Alice';`,
      webhooks: [
        {
          op: 'update',
          key: { id: '1' },
          before: { ...alice, status: 'paid' },
          after: { ...alice, status: 'shipped' },
          changed: ['status'],
          before_complete: true,
        },
      ],
    },
    {
      sql: `DELETE FROM ${TOUR_TABLE} WHERE customer = 'Bob';`,
      webhooks: [
        { op: 'delete', key: { id: '2' }, before: { ...bob, status: 'open' }, after: null, before_complete: true },
      ],
    },
    { sql: 'SHOW CDC STREAMS;', expanded: true },
    {
      say: 'Paused, a stream keeps its position: nothing is sent, nothing is lost.',
      sql: `ALTER CDC STREAM ${TOUR_STREAM} PAUSE;`,
    },
    { sql: `INSERT INTO ${TOUR_TABLE} (customer, total) VALUES ('Carol', 120);` },
    {
      sql: `ALTER CDC STREAM ${TOUR_STREAM} RESUME;`,
      webhooks: [{ op: 'insert', key: { id: '3' }, before: null, after: { ...carol, status: 'open' } }],
    },
    { sql: `SHOW CDC STREAM STATUS ${TOUR_STREAM};` },
    {
      say: 'A mistake is shown as PostgreSQL would show it.',
      sql: `ALTER CDC STREAM ${TOUR_STREAM} PAUZE;`,
      fails: '42601',
    },
  ];
}
