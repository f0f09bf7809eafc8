import { useEffect, useState } from 'preact/hooks';

export const STREAM_TABS = ['overview', 'deliveries', 'dead-letters', 'next', 'definition', 'history'] as const;
export type StreamTab = (typeof STREAM_TABS)[number];

export type Route =
  | { readonly page: 'streams' | 'endpoints' | 'replication' | 'settings' | 'unknown' }
  | { readonly page: 'stream'; readonly name: string; readonly tab: StreamTab };

/** `#/stream/orders/deliveries` */
function parse(hash: string): Route {
  const [page = '', name, tab = 'overview'] = hash.replace(/^#?\//, '').split('/');
  switch (page) {
    case '':
      return { page: 'streams' };
    case 'endpoints':
    case 'replication':
    case 'settings':
      return { page };
    case 'stream': {
      const known = STREAM_TABS.find((one) => one === tab);
      if (name !== undefined && known !== undefined) return { page, name: decoded(name), tab: known };
    }
  }
  return { page: 'unknown' };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function streamPath(name: string, tab: StreamTab = 'overview'): string {
  return `#/stream/${encodeURIComponent(name)}${tab === 'overview' ? '' : `/${tab}`}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parse(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}
