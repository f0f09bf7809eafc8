import { must } from '../../base/assert.ts';
import { headerText } from '../../model/header-rules.ts';
import { hasPlaceholder } from '../../model/placeholders.ts';
import type { StreamOptions } from '../../model/stream-options.ts';
import type { SinkBatch } from '../sink.ts';
import type { Credentials } from './credentials.ts';
import type { Signer } from './signature.ts';

/** The options that say how a request looks, its secrets apart. */
export type HeadOptions = Pick<
  StreamOptions,
  'compression' | 'headers' | 'idempotencyHeader' | 'sourceHeaders' | 'sourceSchemaHeader' | 'sourceTableHeader'
>;

/** What a request says before its body. Everything that does not differ from request to request is made beforehand. */
export class RequestHead {
  readonly #options: HeadOptions;
  readonly #signer: Pick<Signer, 'sign'> | null;
  readonly #static: readonly string[];
  /** Names of those that each batch brings with it. */
  readonly #routed: readonly string[];
  readonly #namesTrace: boolean;

  constructor(
    options: HeadOptions,
    { header, signer }: Pick<Credentials, 'header'> & { readonly signer: Pick<Signer, 'sign'> | null },
    userAgent: string,
  ) {
    this.#options = options;
    this.#signer = signer;
    const own = new Set(ownNames(options));
    if (header !== null) own.add(header[0].toLowerCase());
    const given = Object.entries(options.headers).filter(([name]) => !own.has(name.toLowerCase()));
    const namesAgent = given.some(([name]) => name.toLowerCase() === 'user-agent');
    // Whoever says it has traces of their own.
    this.#namesTrace = own.has('traceparent') || given.some(([name]) => name.toLowerCase() === 'traceparent');
    this.#static = [
      ...(namesAgent ? [] : [['User-Agent', userAgent]]),
      ...given.filter(([, value]) => !hasPlaceholder(value)),
      ...(header === null ? [] : [header]),
      ...(options.compression === 'none' ? [] : [['Content-Encoding', options.compression]]),
    ].flat();
    this.#routed = given.flatMap(([name, value]) => (hasPlaceholder(value) ? [name] : []));
  }

  /** Of one attempt: names and values in turn. */
  headers(batch: SinkBatch, nowMs: number): string[] {
    const { idempotencyHeader, sourceHeaders, sourceSchemaHeader, sourceTableHeader } = this.#options;
    const signer = this.#signer;
    const timestamp = String(Math.floor(nowMs / 1000));
    const headers = ['Content-Type', batch.contentType, ...this.#static];
    for (const name of this.#routed) headers.push(name, must(batch.headers?.[name], 'the batch has its route'));
    if (idempotencyHeader !== '') headers.push(idempotencyHeader, batch.requestId);
    headers.push('webhook-id', batch.requestId, 'webhook-timestamp', timestamp);
    if (signer !== null) headers.push('webhook-signature', signer.sign(batch.requestId, timestamp, batch.body));
    headers.push('X-CDC-Stream', headerText(batch.stream), 'X-CDC-Attempt', String(batch.attempt));
    if (batch.isReplay === true) headers.push('X-CDC-Replay', 'true');
    if (batch.gap) headers.push('X-CDC-Gap', batch.gap);
    if (sourceHeaders && batch.table !== null) {
      headers.push(sourceSchemaHeader, headerText(batch.table.schema), sourceTableHeader, headerText(batch.table.name));
    }
    if (batch.traceparent !== undefined && !this.#namesTrace) headers.push('traceparent', batch.traceparent);
    return headers;
  }
}

/** The headers that are set here and have a name of somebody's choice: a static one of that name would stand there twice. */
function ownNames({ idempotencyHeader, sourceHeaders, sourceSchemaHeader, sourceTableHeader }: HeadOptions): string[] {
  const names = sourceHeaders ? [idempotencyHeader, sourceSchemaHeader, sourceTableHeader] : [idempotencyHeader];
  return names.map((name) => name.toLowerCase());
}
