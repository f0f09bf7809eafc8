import { redactUrl } from '../../model/redact.ts';
import { HIDDEN_VALUE, SecretValue } from '../../model/secret.ts';
import { ENDPOINT_OPTION_KEYS, type OptionKey, type StreamOptions } from '../../model/stream-options.ts';
import { optionOf } from '../../sql/options.ts';
import { shownHeaders } from '../../model/header-rules.ts';

/*
  A catalog tells nobody the query values of URLs, headers that carry credentials, and secrets that were literals: SHOW has
  `***` for each. What is wanted can then only be compared as far as it would be shown.
*/

/** How a wanted value stands to the one there is. */
export type Comparison =
  | 'same'
  | 'different'
  /** The same as far as it is shown, and the rest is in the text. */
  | 'untold';

/** A URL as SHOW has it. */
export function shownUrl(url: string): string {
  return url.includes('?') ? redactUrl(url) : url;
}

/** Whether the URL has a value of its query left out. */
export function isUrlIncomplete(url: string): boolean {
  return /[?&][^=&#]*=\*\*\*(?=[&#]|$)/.test(url);
}

/** `have` is as it was shown. */
export function compareUrls(have: string, want: string): Comparison {
  if (have !== shownUrl(want)) return 'different';
  return have === want ? 'same' : 'untold';
}

type Value = StreamOptions[OptionKey] | undefined;

/** `have` is as it was shown; undefined: nobody has said it. */
export function compareOptions(key: OptionKey, have: Value, want: Value): Comparison {
  if (have === undefined || want === undefined) return have === want ? 'same' : 'different';
  if (key === 'headers') {
    const [shown, wanted] = [have, want] as [StreamOptions['headers'], StreamOptions['headers']];
    if (!areEqual(shown, shownHeaders(wanted))) return 'different';
    return areEqual(shown, wanted) ? 'same' : 'untold';
  }
  if (want instanceof SecretValue) {
    if (!(have instanceof SecretValue)) return 'different';
    return want.isHidden ? 'same' : 'untold';
  }
  return areEqual(have, want) ? 'same' : 'different';
}

function areEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The options of which a value is left out, by name. */
export function incompleteOptions(options: Partial<StreamOptions>, keys: readonly OptionKey[]): readonly string[] {
  const isIncomplete = (key: OptionKey): boolean => {
    const value = options[key];
    if (key === 'headers') return Object.values((value ?? {}) as StreamOptions['headers']).includes(HIDDEN_VALUE);
    return value instanceof SecretValue && value.isHidden;
  };
  return keys.filter(isIncomplete).map((key) => optionOf(key).name);
}

/** The options that an endpoint's definition gives. */
export function endpointKeys(options: object): readonly OptionKey[] {
  return ENDPOINT_OPTION_KEYS.filter((key) => key in options);
}
