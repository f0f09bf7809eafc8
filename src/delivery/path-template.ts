import type { StreamDefinition } from '../model/stream.ts';
import type { DeliveryEvent } from './delivery-event.ts';

/** Paths that are kept: a table and an operation each. */
const MAX_KEPT = 1_000;
const PLACE = /\{(database|schema|table|op|stream)\}/g;

/** What `path_template` comes to for each event of a stream. */
export class PathTemplate {
  readonly #text: string;
  readonly #names: { readonly database: string; readonly stream: string };
  readonly #kept = new Map<string, string>();

  constructor({ name, database, options }: Pick<StreamDefinition, 'name' | 'database' | 'options'>) {
    this.#text = options.pathTemplate;
    this.#names = { database, stream: name };
  }

  /** Empty where there is no template. Names are percent-encoded, so that none is more than one segment. */
  path(event: DeliveryEvent): string {
    if (this.#text === '') return '';
    const { table } = event.source;
    const { operation } = event;
    // A name of Postgres's has no NUL.
    const key = `${operation}\0${table.schema}\0${table.name}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const values: Readonly<Record<string, string>> = {
      ...this.#names,
      op: operation,
      schema: table.schema,
      table: table.name,
    };
    const path = this.#text.replaceAll(PLACE, (_, name: string) => encodeName(values[name] ?? ''));
    this.#kept.set(key, path);
    return path;
  }
}

/** A name of dots alone would be a relative segment, and is to every reader of URLs even when it is encoded once. */
function encodeName(name: string): string {
  if (/^\.+$/.test(name)) return name.replaceAll('.', '%252E');
  return encodeURIComponent(name.toWellFormed());
}
