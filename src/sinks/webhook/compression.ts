import { promisify } from 'node:util';
import { brotliCompress, constants, gzip, zstdCompress } from 'node:zlib';

/*
  Levels are those that give most of what there is to gain for a small part of the time: brotli's own default (11) takes a
  hundred times as long as 4 for a tenth less. All of it is done off the thread.
*/

export type Compression = 'gzip' | 'br' | 'zstd';

const ENCODE: Readonly<Record<Compression, (body: Buffer) => Promise<Buffer>>> = {
  gzip: (body) => promisify(gzip)(body, { level: 6 }),
  br: (body) =>
    promisify(brotliCompress)(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 4,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
        [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      },
    }),
  zstd: (body) => promisify(zstdCompress)(body, { params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
};

/** The body in a content coding (RFC 9110, 8.4.1; RFC 7932; RFC 8878). */
export function compress(body: Buffer, coding: Compression): Promise<Buffer> {
  return ENCODE[coding](body);
}
