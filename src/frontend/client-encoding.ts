import { isUtf8 as validUtf8 } from 'node:buffer';
import { PgError } from '../postgres/sqlstate.ts';

/**
 * Text in the client's encoding, as the upstream's `client_encoding` names it: what we read of statements and write of
 * results. Postgres's names: https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED
 * SQL_ASCII promises nothing, and is read as UTF-8.
 */

/** WHATWG labels of the encodings that Node decodes the way Postgres does. */
const LABELS: ReadonlyMap<string, string> = new Map([
  ['BIG5', 'big5'],
  ['EUC_JP', 'euc-jp'],
  ['EUC_KR', 'euc-kr'],
  ['GB18030', 'gb18030'],
  ['GBK', 'gbk'],
  ['ISO_8859_5', 'iso-8859-5'],
  ['ISO_8859_6', 'iso-8859-6'],
  ['ISO_8859_7', 'iso-8859-7'],
  ['ISO_8859_8', 'iso-8859-8'],
  ['KOI8R', 'koi8-r'],
  ['KOI8U', 'koi8-u'],
  ['LATIN2', 'iso-8859-2'],
  ['LATIN3', 'iso-8859-3'],
  ['LATIN4', 'iso-8859-4'],
  ['LATIN6', 'iso-8859-10'],
  ['LATIN7', 'iso-8859-13'],
  ['LATIN8', 'iso-8859-14'],
  ['LATIN9', 'iso-8859-15'],
  ['LATIN10', 'iso-8859-16'],
  ['SJIS', 'shift_jis'],
  ['UHC', 'euc-kr'],
  ['WIN1250', 'windows-1250'],
  ['WIN1251', 'windows-1251'],
  ['WIN1252', 'windows-1252'],
  ['WIN1253', 'windows-1253'],
  ['WIN1254', 'windows-1254'],
  ['WIN1255', 'windows-1255'],
  ['WIN1256', 'windows-1256'],
  ['WIN1257', 'windows-1257'],
  ['WIN1258', 'windows-1258'],
  ['WIN866', 'ibm866'],
  ['WIN874', 'windows-874'],
]);

/** 0A000 for text beyond ASCII in an encoding that we cannot read. */
export function decodeText(bytes: Buffer, encoding: string): string {
  if (isUtf8(encoding)) return bytes.toString('utf8');
  if (encoding === 'LATIN1') return bytes.toString('latin1');
  const label = LABELS.get(encoding);
  if (label !== undefined) return new TextDecoder(label).decode(bytes);
  if (bytes.every((byte) => byte < 0x80)) return bytes.toString('latin1');
  throw new PgError('feature_not_supported', `statements of walhook cannot be read in client encoding "${encoding}"`, {
    hint: 'SET client_encoding TO UTF8.',
  });
}

/**
 * 22021 where the bytes are no text in the encoding, in the server's words: such text is not to be guessed at. Encodings
 * that cannot be read are left to `decodeText`.
 */
export function requireValid(bytes: Buffer, encoding: string): void {
  const zero = bytes.indexOf(0);
  if (zero !== -1) throw invalidSequence(bytes.subarray(zero, zero + 1), encoding);
  if (isUtf8(encoding)) {
    if (!validUtf8(bytes)) throw invalidSequence(invalidUtf8(bytes), 'UTF8');
    return;
  }
  const label = LABELS.get(encoding);
  if (label === undefined) return;
  try {
    new TextDecoder(label, { fatal: true }).decode(bytes);
  } catch {
    throw invalidSequence(null, encoding);
  }
}

/** The first bytes that are no UTF-8: as many as the first of them announces, as the server shows them. */
function invalidUtf8(bytes: Buffer): Buffer {
  // Each bad byte has become U+FFFD, so that up to the first of them the bytes are the same.
  const repaired = Buffer.from(bytes.toString('utf8'), 'utf8');
  let at = 0;
  while (at < bytes.length && bytes[at] === repaired[at]) at++;
  while (at > 0 && (bytes[at]! & 0xc0) === 0x80 && bytes[at - 1]! >= 0xc0) at--;
  const lead = bytes[at] ?? 0;
  const length =
    lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc0 && lead < 0xe0 ? 2 : 1;
  return bytes.subarray(at, at + length);
}

function invalidSequence(bytes: Buffer | null, encoding: string): PgError {
  const shown =
    bytes === null ? '' : `: ${[...bytes].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ')}`;
  return new PgError('character_not_in_repertoire', `invalid byte sequence for encoding "${encoding}"${shown}`);
}

/** Characters that the encoding lacks (or that we cannot write in it) become question marks. */
export function encodeText(text: string, encoding: string): Buffer {
  if (isUtf8(encoding)) return Buffer.from(text, 'utf8');
  const bytes: number[] = [];
  const table = charactersOf(encoding);
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else bytes.push(...(table.get(character) ?? [0x3f]));
  }
  return Buffer.from(bytes);
}

/** How many bytes of the client's the first `length` UTF-16 units of a text that `decodeText` returned were. */
export function byteOffset(text: string, length: number, encoding: string): number {
  return encodeText(text.slice(0, length), encoding).length;
}

/** The text's characters up to a UTF-16 offset: positions in errors count characters. */
export function characterCount(text: string, length: number): number {
  let count = 0;
  for (let at = 0; at < length; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return count;
}

function isUtf8(encoding: string): boolean {
  return encoding === 'UTF8' || encoding === 'SQL_ASCII' || encoding === 'UNICODE';
}

const tables = new Map<string, ReadonlyMap<string, readonly number[]>>();

/** The bytes of each character beyond ASCII that has one or two, found by decoding all of them. */
function charactersOf(encoding: string): ReadonlyMap<string, readonly number[]> {
  const known = tables.get(encoding);
  if (known) return known;
  const table = new Map<string, readonly number[]>();
  const label = LABELS.get(encoding);
  const decode = label === undefined ? null : new TextDecoder(label, { fatal: true });
  const add = (...bytes: number[]): boolean => {
    let character: string;
    try {
      character =
        encoding === 'LATIN1' ? String.fromCharCode(bytes[0]!) : (decode?.decode(Uint8Array.from(bytes)) ?? '');
    } catch {
      return false;
    }
    if (character === '' || characterCount(character, character.length) !== 1) return false;
    if (!table.has(character)) table.set(character, bytes);
    return true;
  };
  for (let lead = 0x80; lead <= 0xff; lead++) {
    if (add(lead) || !decode) continue;
    for (let trail = 0x40; trail <= 0xfe; trail++) add(lead, trail);
  }
  tables.set(encoding, table);
  return table;
}
