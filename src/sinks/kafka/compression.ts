import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';

/** How a RecordBatch's records are compressed, in the lowest bits of its attributes. */
export const CODEC = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

export type CompressionName = keyof typeof CODEC;

const gzipOff = promisify(gzip);
const zstdOff = promisify(zstdCompress);
/** Read when there is a stream that wants it: it takes 6 MB. */
const wasm = () => import('@platformatic/wasm-utils');

/**
 * The records as one stream of the codec: gzip and zstd off the thread; snappy (its block format, which all consumers know)
 * and lz4 (frames), which Node has not, on it, as they take less than it costs to hand them over.
 */
export async function compressRecords(codec: Exclude<CompressionName, 'none'>, records: Buffer): Promise<Buffer> {
  switch (codec) {
    case 'gzip':
      return gzipOff(records, { level: 6 });
    case 'zstd':
      return zstdOff(records, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
    case 'snappy':
      return (await wasm()).snappyCompress(records);
    case 'lz4':
      return (await wasm()).lz4Compress(records);
  }
}
