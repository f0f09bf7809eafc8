/*
  Where a request goes: the destination's URL, and behind its path what `path_template` came to. A query of the template's
  goes behind the URL's own.
*/

/** Paths that are kept: a table and an operation each. */
const MAX_KEPT = 1_000;

/** Puts resolved templates behind one URL's path. */
export class RequestPaths {
  readonly #url: URL;
  readonly #kept = new Map<string, string>();

  constructor(url: URL) {
    this.#url = url;
  }

  /** `suffix`: what the template came to, percent-encoded; empty where there is none. */
  path(suffix: string): string {
    const kept = this.#kept.get(suffix);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const path = this.#join(suffix);
    this.#kept.set(suffix, path);
    return path;
  }

  #join(suffix: string): string {
    const { pathname, search } = this.#url;
    if (suffix === '') return pathname + search;
    const mark = suffix.indexOf('?');
    const behind = mark === -1 ? suffix : suffix.slice(0, mark);
    const query = mark === -1 ? '' : suffix.slice(mark + 1);
    const base = pathname.endsWith('/') && behind.startsWith('/') ? pathname.slice(0, -1) : pathname;
    const queries = [search.slice(1), query].filter((one) => one !== '').join('&');
    return `${base}${behind}${queries === '' ? '' : `?${queries}`}`;
  }
}
