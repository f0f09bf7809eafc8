import { fillPlaceholders } from '../../model/placeholders.ts';
import type { SinkRecord } from '../sink.ts';

/** Topics that are kept: a table and an operation each. */
const MAX_KEPT = 1_000;
/** What a topic's name may not have. */
const FOREIGN = /[^A-Za-z0-9._-]/gu;

export interface TopicSource {
  /** Null: the template says. */
  readonly topic: string | null;
  readonly template: string;
  readonly database: string;
  readonly stream: string;
}

/** Which topic a record goes to. In a template's names whatever a topic may not have becomes `_`, as Debezium has it. */
export class TopicNames {
  readonly #source: TopicSource;
  readonly #kept = new Map<string, string>();

  constructor(source: TopicSource) {
    this.#source = source;
  }

  topic({ operation, schema, table }: Pick<SinkRecord, 'operation' | 'schema' | 'table'>): string {
    const { topic, template, database, stream } = this.#source;
    if (topic !== null) return topic;
    // A name of Postgres's has no NUL.
    const key = `${operation}\0${schema}\0${table}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const values = { database, stream, op: operation, schema, table };
    const name = fillPlaceholders(template, values, (value) => value.replaceAll(FOREIGN, '_'));
    this.#kept.set(key, name);
    return name;
  }

  /** The topics of tables, as far as they do not depend on the operation. */
  topicsOf(tables: readonly { readonly schema: string; readonly name: string }[]): readonly string[] {
    const { topic, template } = this.#source;
    if (topic !== null) return [topic];
    if (template.includes('{op}')) return [];
    const all = tables.map(({ schema, name }) => this.topic({ operation: 'insert', schema, table: name }));
    return [...new Set(all)];
  }
}
