import { must } from '../base/assert.ts';
import { PgError } from './sqlstate.ts';

/**
 * Names as Postgres writes and folds them.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */

/** NAMEDATALEN - 1. */
export const MAX_NAME_BYTES = 63;

/** An unquoted identifier folded: ASCII letters to lower case, everything else kept. */
export function foldIdentifier(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

const PLAIN = /^[a-z_][a-z0-9_$]*$/;

/**
 * The name as it must be written in SQL: bare where that gives it back, in double quotes otherwise. Key words of
 * Postgres that cannot stand bare are quoted too.
 */
export function quoteIdentifier(name: string): string {
  return PLAIN.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** `schema.table`, each part quoted as needed. */
export function qualify(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** A string constant: `'…'`, or `E'…'` where a backslash would otherwise depend on a setting. */
export function quoteLiteral(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return text.includes('\\') ? `E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`;
}

/** A string constant in ASCII alone, whatever `standard_conforming_strings` and the client's encoding are. */
export function asciiLiteral(text: string): string {
  let escaped = '';
  for (const character of text) {
    const code = must(character.codePointAt(0), 'a character');
    if (code === 0) throw new PgError('syntax_error', 'a name cannot contain a zero byte');
    if (character === "'" || character === '\\') escaped += `\\${character}`;
    else if (code >= 0x20 && code < 0x7f) escaped += character;
    else escaped += `\\U${code.toString(16).padStart(8, '0')}`;
  }
  return `E'${escaped}'`;
}

/** Reserved key words, and those reserved except as function or type names (PostgreSQL 18, appendix C). */
const RESERVED = new Set(
  (
    'all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation ' +
    'column concurrently constraint create cross current_catalog current_date current_role current_schema current_time ' +
    'current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze ' +
    'from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit ' +
    'localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references ' +
    'returning right select session_user similar some symmetric system_user table tablesample then to trailing true ' +
    'union unique user using variadic verbose when where window with'
  ).split(' '),
);

/** Whether the folded word cannot be a name unless it is quoted. */
export function isReservedWord(word: string): boolean {
  return RESERVED.has(word);
}
