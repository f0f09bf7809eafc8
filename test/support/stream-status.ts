import type pg from 'pg';

/** What `SHOW CDC STREAM STATUS` says of a stream, by property. */
export async function streamStatus(client: pg.ClientBase, stream: string): Promise<Map<string, string | null>> {
  const sql = `SHOW CDC STREAM STATUS ${stream}`;
  const { rows } = await client.query<{ property: string; value: string | null }>(sql);
  return new Map(rows.map(({ property, value }) => [property, value]));
}
