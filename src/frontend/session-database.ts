import { requireDatabase } from '../catalog/plan.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { senseless, type Questioner } from './question.ts';

/** The database that the client is connected to. */
export async function sessionDatabase(questioner: Questioner): Promise<string> {
  const name = await questioner.ask('pg_catalog.to_json(CAST(pg_catalog.current_database() AS pg_catalog.text))');
  if (typeof name !== 'string') throw senseless();
  return name;
}

/** 55000 unless the stream is one of the session's database, where alone its tables can be looked at. */
export async function requireSessionDatabase(definition: StreamDefinition, questioner: Questioner): Promise<void> {
  requireDatabase(definition, await sessionDatabase(questioner));
}
