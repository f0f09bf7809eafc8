/** A request's headers: of `fetch`, or as names and values in an object, in any case, as Node has them. */
export type RequestHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The value of a header, of several the first; null where there is none. */
export function headerOf(headers: RequestHeaders, name: string): string | null {
  if (isFetchHeaders(headers)) return headers.get(name);
  let value = headers[name];
  if (value === undefined) {
    const found = Object.keys(headers).find((key) => key.toLowerCase() === name);
    if (found !== undefined) value = headers[found];
  }
  return (typeof value === 'string' ? value : value?.[0]) ?? null;
}

function isFetchHeaders(headers: RequestHeaders): headers is { get(name: string): string | null } {
  return typeof headers.get === 'function';
}
