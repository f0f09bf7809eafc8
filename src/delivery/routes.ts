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
  /** Why no request can have such a path or such headers, or null. */
  readonly fault: string | null;
  /** Equal for equal routes. */
  readonly key: string;
}

/** What every server takes of a URI: https://www.rfc-editor.org/rfc/rfc9110#section-4.1-5 */
const MAX_PATH_BYTES = 8_000;

const NOWHERE: Route = Object.freeze({ path: '', headers: null, fault: null, key: '' });

/** Where the events of a stream go, by `path_template` and what in `headers` is the event's. */
export class Routes {
  readonly #path: string;
  /** Those of `headers` that have placeholders. */
  readonly #templates: readonly (readonly [name: string, value: string])[];
  readonly #names: { readonly database: string; readonly stream: string };
  readonly #kept = new Map<string, Route>();

  constructor({ name, database, options }: Pick<StreamDefinition, 'name' | 'database' | 'options'>) {
    this.#path = options.pathTemplate;
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
    const headers = this.#templates.map(
      ([name, value]) => [name, fillPlaceholders(value, values, headerText)] as const,
    );
    const routed = headers.length === 0 ? null : Object.fromEntries(headers);
    const key = routed === null ? path : JSON.stringify([path, ...headers]);
    return { path, headers: routed, fault: faultOf(path, routed ?? {}), key };
  }
}

function faultOf(path: string, headers: StreamDefinition['options']['headers']): string | null {
  if (path.length > MAX_PATH_BYTES) return `the event's path comes to more than ${MAX_PATH_BYTES} bytes`;
  const isTooLong = headersBytes(headers) > MAX_HEADERS_BYTES;
  return isTooLong ? `the event's headers come to more than ${MAX_HEADERS_BYTES} bytes` : null;
}

/** A name of dots alone would be a relative segment, and is to every reader of URLs even when it is encoded once. */
function segment(name: string): string {
  if (/^\.+$/.test(name)) return name.replaceAll('.', '%252E');
  return encodeURIComponent(name.toWellFormed());
}
