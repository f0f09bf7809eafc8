import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { headerOf, type RequestHeaders } from './headers.ts';
import { WebhookError } from './webhook-error.ts';

export interface ReadBodyOptions {
  /** Of the body as it comes, and of what it unpacks to. 64 MiB, the most that a stream may be told to send, by default. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 64 * 1024 * 1024;

const UNPACK: ReadonlyMap<string, typeof zlib.gunzip | undefined> = new Map([
  ['gzip', zlib.gunzip],
  ['br', zlib.brotliDecompress],
  // Node 22.14 and older have none.
  ['zstd', zlib.zstdDecompress as typeof zlib.gunzip | undefined],
]);

/** A request whose body nobody has read yet: Node's, Express's, Fastify's `request.raw`. */
export type ReadableRequest = AsyncIterable<unknown> & { readonly headers: RequestHeaders };

/**
 * Reads a request's body, and unpacks it where it is compressed: the bytes that were signed. Throws `WebhookError`
 * (`too_large`, `unsupported_encoding`, `damaged_body`); memory is bounded by `maxBytes`, whatever the body unpacks to.
 */
export async function readBody(
  request: ReadableRequest,
  { maxBytes = MAX_BYTES }: ReadBodyOptions = {},
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of request) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : (piece as Uint8Array);
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return unpack(Buffer.concat(chunks, bytes), request.headers, { maxBytes });
}

/** The same for a body that has been read already, as it came. */
export async function unpack(
  body: Uint8Array,
  headers: RequestHeaders,
  { maxBytes = MAX_BYTES }: ReadBodyOptions = {},
): Promise<Buffer> {
  const encoding = headerOf(headers, 'content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity' || encoding === '') return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const unpacked = UNPACK.get(encoding);
  if (unpacked === undefined) {
    throw new WebhookError('unsupported_encoding', 'the body is in an encoding that is not supported');
  }
  try {
    return await promisify<Uint8Array, zlib.ZlibOptions, Buffer>(unpacked)(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new WebhookError('damaged_body', `the body is not what its Content-Encoding says (${encoding})`);
  }
}

function tooLarge(maxBytes: number): WebhookError {
  return new WebhookError('too_large', `the body has more than ${maxBytes} bytes`);
}
