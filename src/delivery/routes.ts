import { headerText } from '../model/header-rules.ts';
import { fillPlaceholders, hasPlaceholder } from '../model/placeholders.ts';
import type { StreamDefinition } from '../model/stream.ts';
import { headersBytes, MAX_HEADERS_BYTES } from '../model/stream-options.ts';
import type { DeliveryEvent } from './delivery-event.ts';

/** Routes that are kept: a table and an operation each. */
const MAX_KEPT = 1_000;

/** What the templates of a stream come to for an event. Events whose routes differ share no request. */
export interface Route {
  /** Of `path_template`; empty where there is none. Names are percent-encoded, so that none is more than one segment. */
  readonly path: string;
  /** Those of `headers` that have placeholders, by their names as written; null where none has. */
  readonly headers: Readonly<Record<string, string>> | null;
  /** Why no request can have such headers, or null. */
  readonly fault: string | null;
  /** Equal for equal routes. */
  readonly key: string;
}

const NOWHERE: Route = Object.freeze({ path: '', headers: null, fault: null, key: '' });

/** Where the events of a stream go, by `path_template` and what in `headers` is the event's. */
export class Routes {
  readonly #path: string;
  readonly #headers: StreamDefinition['options']['headers'];
  /** Those of them that have placeholders. */
  readonly #templates: readonly (readonly [name: string, value: string])[];
  readonly #names: { readonly database: string; readonly stream: string };
  readonly #kept = new Map<string, Route>();

  constructor({ name, database, options }: Pick<StreamDefinition, 'name' | 'database' | 'options'>) {
    this.#path = options.pathTemplate;
    this.#headers = options.headers;
    this.#templates = Object.entries(options.headers).filter(([, value]) => hasPlaceholder(value));
    this.#names = { database, stream: name };
  }

  route(event: Pick<DeliveryEvent, 'operation' | 'source'>): Route {
    if (this.#path === '' && this.#templates.length === 0) return NOWHERE;
    const { table } = event.source;
    const { operation } = event;
    // A name of Postgres's has no NUL.
    const key = `${operation}\0${table.schema}\0${table.name}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const route = this.#resolve({ ...this.#names, op: operation, schema: table.schema, table: table.name });
    this.#kept.set(key, route);
    return route;
  }

  #resolve(values: Parameters<typeof fillPlaceholders>[1]): Route {
    const path = fillPlaceholders(this.#path, values, segment);
    if (this.#templates.length === 0) return { path, headers: null, fault: null, key: path };
    const headers = Object.fromEntries(
      this.#templates.map(([name, value]) => [name, fillPlaceholders(value, values, headerText)]),
    );
    const bytes = headersBytes({ ...this.#headers, ...headers });
    const fault = bytes > MAX_HEADERS_BYTES ? `the event's headers come to more than ${MAX_HEADERS_BYTES} bytes` : null;
    return { path, headers, fault, key: JSON.stringify([path, ...Object.values(headers)]) };
  }
}

/** A name of dots alone would be a relative segment, and is to every reader of URLs even when it is encoded once. */
function segment(name: string): string {
  if (/^\.+$/.test(name)) return name.replaceAll('.', '%252E');
  return encodeURIComponent(name.toWellFormed());
}
