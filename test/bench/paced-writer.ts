import pg from 'pg';

const CLIENTS = 8;

export interface PacedWriterOptions {
  readonly url: string;
  /** With a column `id`. */
  readonly table: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly firstId?: number;
}

/** Commits single rows at a steady rate; tells of each when its commit has returned. Resolves to how many there were. */
export async function writeAtRate(options: PacedWriterOptions, committed: (id: number) => void): Promise<number> {
  const { url, table, perSecond, seconds, firstId = 1 } = options;
  const count = perSecond * seconds;
  const startMs = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      while (next < count) {
        const mine = next++;
        const waitMs = startMs + (mine / perSecond) * 1000 - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        await client.query({ name: 'insert', text: `INSERT INTO ${table} (id) VALUES ($1)`, values: [firstId + mine] });
        committed(firstId + mine);
      }
      await client.end();
    }),
  );
  return count;
}
