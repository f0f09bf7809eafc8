/** A URL that may be shown: without user info, and with every query value replaced. */
export function redactUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return '<invalid URL>';
  }
  parsed.username = '';
  parsed.password = '';
  parsed.hash = '';
  const query = [...parsed.searchParams.keys()].map((name) => `${encodeURIComponent(name)}=***`).join('&');
  parsed.search = '';
  return query === '' ? parsed.href : `${parsed.href}?${query}`;
}
