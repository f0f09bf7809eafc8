import type { OptionChanges } from '../model/option-changes.ts';

/** The options that are touched, by the names of their fields. */
export function changedOptions({ set, setHeaders, reset, resetHeaders }: OptionChanges): readonly string[] {
  const headers = Object.keys(setHeaders).length + resetHeaders.length > 0 ? ['headers'] : [];
  return [...new Set([...Object.keys(set), ...reset, ...headers])];
}

/** `requestTimeoutMs` as the option is written: `request_timeout`. */
export function optionName(key: string): string {
  return key.replace(/Ms$/, '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
