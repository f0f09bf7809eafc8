import { ByteWriter } from '../formats/byte-writer.ts';
import { parseForPrinting } from '../formats/exact-json.ts';
import { headerText } from '../model/header-rules.ts';
import { fillPlaceholders, hasPlaceholder, keyPlaceholders, type PlaceholderValues } from '../model/placeholders.ts';
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

export type RoutedEvent = Pick<DeliveryEvent, 'operation' | 'source' | 'encodeKey'>;

const NOWHERE: Route = Object.freeze({ path: '', headers: null, fault: null, key: '' });

/** Where the events of a stream go, by `path_template` and what in `headers` is the event's. */
export class Routes {
  readonly #path: string;
  /** Those of `headers` that have placeholders. */
  readonly #templates: readonly (readonly [name: string, value: string])[];
  readonly #names: { readonly database: string; readonly stream: string };
  readonly #kept = new Map<string, Route>();
  /** Something is of the event's key: what it comes to is kept of no event. */
  readonly #isOfKey: boolean;

  constructor({ name, database, options }: Pick<StreamDefinition, 'name' | 'database' | 'options'>) {
    this.#path = options.pathTemplate;
    this.#templates = Object.entries(options.headers).filter(([, value]) => hasPlaceholder(value));
    this.#names = { database, stream: name };
    const texts = [this.#path, ...this.#templates.map(([, value]) => value)];
    this.#isOfKey = texts.some((text) => keyPlaceholders(text).length > 0);
  }

  route(event: RoutedEvent): Route {
    if (this.#path === '' && this.#templates.length === 0) return NOWHERE;
    const { table } = event.source;
    const { operation } = event;
    const values = { ...this.#names, op: operation, schema: table.schema, table: table.name };
    if (this.#isOfKey) return this.#resolve(values, keyOf(event));
    // A name of Postgres's has no NUL.
    const key = `${operation}\0${table.schema}\0${table.name}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const route = this.#resolve(values);
    this.#kept.set(key, route);
    return route;
  }

  #resolve(values: PlaceholderValues, key?: ReadonlyMap<string, string>): Route {
    const path = fillPlaceholders(this.#path, values, segment, key);
    const headers = this.#templates.map(
      ([name, value]) => [name, fillPlaceholders(value, values, headerText, key)] as const,
    );
    const routed = headers.length === 0 ? null : Object.fromEntries(headers);
    const whole = routed === null ? path : JSON.stringify([path, ...headers]);
    return { path, headers: routed, fault: faultOf(path, routed ?? {}), key: whole };
  }
}

/** The columns of the event's key as texts: strings as they are, all else as its JSON. Nothing where it has no key. */
function keyOf(event: RoutedEvent): ReadonlyMap<string, string> {
  const out = new ByteWriter(256);
  event.encodeKey(out);
  const key = parseForPrinting(out.copy().toString('utf8'));
  if (typeof key !== 'object' || key === null) return new Map();
  return new Map(
    Object.entries(key).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
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
