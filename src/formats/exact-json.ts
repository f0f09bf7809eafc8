/*
  JSON to values and back without loss: a number that JavaScript would print in another way goes through as its text.
  https://tc39.es/proposal-json-parse-with-source/
*/

interface SourceJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

const json = JSON as unknown as SourceJson;

/** For printing: every number as it was written. */
export function parseForPrinting(text: string): unknown {
  return json.parse(text, (_, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? json.rawJSON(source) : value,
  );
}

/** So many significant digits every double has. */
const EXACT_DIGITS = 15;

/** For reckoning: a number that a double does not hold is its text. */
export function parseForReckoning(text: string): unknown {
  return json.parse(text, (_, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || source.length <= EXACT_DIGITS) return value;
    const digits = source
      .replace(/[eE].*$/, '')
      .replace(/^-?[0.]*/, '')
      .replace('.', '');
    return digits.length <= EXACT_DIGITS && Number.isFinite(value) ? value : source;
  });
}
