import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const INSTALL = join(import.meta.dirname, '..', '..', 'scripts', 'install-kafka.mjs');
const PROGRAM = join(import.meta.dirname, '..', 'connect', 'ConnectReader.java');

/** A record as Kafka Connect has it. Numbers are `{"Long":"1"}`, bytes `{"bytes":"…"}` in base64. */
export interface ConnectRecord {
  readonly partition: number;
  readonly key: unknown;
  readonly value: Record<string, unknown> | null;
  /** The name of the value's schema. */
  readonly schema: string | null;
  /** Of the columns, by name. */
  readonly types: Readonly<Record<string, string>> | null;
  /** What Debezium's ExtractNewRecordState makes of it; null: nothing. */
  readonly extracted: Record<string, unknown> | null;
}

/** All of a topic, as a converter of Kafka Connect's reads it; `registry`: the one that the Avro converter asks. */
export async function readAsConnect(
  brokers: string,
  topic: string,
  registry: string | null = null,
): Promise<readonly ConnectRecord[]> {
  const jars = execFileSync(process.execPath, [INSTALL, 'kafka-connect'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const how = registry === null ? ['json'] : ['avro', registry];
  const args = ['-cp', join(jars.trim(), '*'), PROGRAM, brokers, topic, ...how];
  const { stdout } = await run('java', args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as ConnectRecord);
}
