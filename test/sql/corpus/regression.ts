import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';

const FILE = join(import.meta.dirname, 'regression.sql.br');
/** Stands between two texts: no text has one. */
const SEPARATOR = '\0';

/**
 * What psql sends while it runs PostgreSQL's regression suite (README.md): query strings, each of one statement or of
 * several, most of them valid and some erroneous on purpose.
 */
export function regressionCorpus(): readonly string[] {
  return brotliDecompressSync(readFileSync(FILE)).toString('utf8').split(SEPARATOR);
}

/** Writes the corpus: one text of those that differ in numbers only, and none that is not UTF-8. */
export function writeRegressionCorpus(texts: readonly Buffer[]): { readonly kept: number; readonly bytes: number } {
  const kept = new Map<string, string>();
  for (const bytes of texts) {
    const text = bytes.toString('utf8');
    const shape = text.replaceAll(/\d+/g, '0').replaceAll(/\s+/g, ' ').trim();
    if (!text.includes('\ufffd') && shape !== '' && !kept.has(shape)) kept.set(shape, text);
  }
  const plain = Buffer.from([...kept.values()].join(SEPARATOR));
  const parameters = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
  };
  const packed = brotliCompressSync(plain, { params: parameters });
  writeFileSync(FILE, packed);
  return { kept: kept.size, bytes: packed.length };
}
