/*
  What paths, headers and topics may take from an event: names in braces, and of paths and headers also columns of its key.
*/

/** `database` and `stream` are the stream's, the others the event's. */
export const PLACEHOLDER_NAMES = ['database', 'schema', 'table', 'op', 'stream'] as const;

export type PlaceholderValues = Readonly<Record<(typeof PLACEHOLDER_NAMES)[number], string>>;

/** One of them in braces, as the source of a regular expression. */
export const PLACEHOLDER = `\\{(?:${PLACEHOLDER_NAMES.join('|')})\\}`;

/** A column of the key, the same. */
export const KEY_PLACEHOLDER = '\\{key\\.[A-Za-z_][A-Za-z0-9_]{0,62}\\}';

const ALL = new RegExp(`${PLACEHOLDER}|${KEY_PLACEHOLDER}`, 'g');
const KEYS = new RegExp(KEY_PLACEHOLDER, 'g');
const KEY_AT = '{key.'.length;

/** A word in braces is meant as one; any other text in braces, such as JSON, is none. */
const WORD = /\{[A-Za-z_][\w.]*\}/g;

export function hasPlaceholder(text: string): boolean {
  return text.search(ALL) !== -1;
}

/** The columns of the key that the text names. */
export function keyPlaceholders(text: string): readonly string[] {
  return (text.match(KEYS) ?? []).map((place) => place.slice(KEY_AT, -1));
}

/** The text with each of them replaced by its value, `encode`d. A column that `key` does not have is empty. */
export function fillPlaceholders(
  text: string,
  values: PlaceholderValues,
  encode: (value: string) => string,
  key: ReadonlyMap<string, string> = NO_KEY,
): string {
  return text.replace(ALL, (place) => {
    const value = place.startsWith('{key.')
      ? (key.get(place.slice(KEY_AT, -1)) ?? '')
      : values[place.slice(1, -1) as keyof PlaceholderValues];
    return encode(value);
  });
}

const NO_KEY: ReadonlyMap<string, string> = new Map();

/** What of the text is as it stands. */
export function literalParts(text: string): readonly string[] {
  return text.split(ALL);
}

/** The first word in braces that is none of them, without its braces; null where there is none. */
export function unknownPlaceholder(text: string): string | null {
  for (const [word] of text.matchAll(WORD)) if (word.search(ALL) === -1) return word.slice(1, -1);
  return null;
}
