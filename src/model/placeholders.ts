/*
  What paths, headers and topics may take from an event: names in braces.
*/

/** `database` and `stream` are the stream's, the others the event's. */
export const PLACEHOLDER_NAMES = ['database', 'schema', 'table', 'op', 'stream'] as const;

export type PlaceholderValues = Readonly<Record<(typeof PLACEHOLDER_NAMES)[number], string>>;

/** One of them in braces, as the source of a regular expression. */
export const PLACEHOLDER = `\\{(?:${PLACEHOLDER_NAMES.join('|')})\\}`;

const ALL = new RegExp(PLACEHOLDER, 'g');

/** A word in braces is meant as one; any other text in braces, such as JSON, is none. */
const WORD = /\{([A-Za-z_][\w.]*)\}/g;

const NAMES: ReadonlySet<string> = new Set(PLACEHOLDER_NAMES);

export function hasPlaceholder(text: string): boolean {
  return text.search(ALL) !== -1;
}

/** The text with each of them replaced by its value, `encode`d. */
export function fillPlaceholders(text: string, values: PlaceholderValues, encode: (value: string) => string): string {
  return text.replace(ALL, (place) => encode(values[place.slice(1, -1) as keyof PlaceholderValues]));
}

/** What of the text is as it stands. */
export function literalParts(text: string): readonly string[] {
  return text.split(ALL);
}

/** The first word in braces that is none of them; null where there is none. */
export function unknownPlaceholder(text: string): string | null {
  for (const [, word] of text.matchAll(WORD)) if (!NAMES.has(word!)) return word!;
  return null;
}
