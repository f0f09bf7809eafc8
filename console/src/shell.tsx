import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Icon } from './parts/icons.tsx';
import type { Route } from './route.ts';
import { useSession } from './session.ts';
import { chooseTheme, chosenTheme, type Theme } from './theme.ts';

const PAGES = [
  ['streams', '#/', 'Streams'],
  ['endpoints', '#/endpoints', 'Endpoints'],
  ['replication', '#/replication', 'Replication'],
  ['settings', '#/settings', 'Settings'],
] as const;

/** What is around every page. */
export function Shell({
  route,
  children,
}: {
  readonly route: Route;
  readonly children: ComponentChildren;
}): JSX.Element {
  const current = route.page === 'stream' ? 'streams' : route.page;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header>
        <a class="brand" href="#/" aria-label="walhook, streams">
          <img src="./favicon.svg" alt="" width="22" height="22" />
          walhook
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([page, href, title]) => (
            <a key={page} href={href} aria-current={page === current ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <div class="who">
          <ThemeSwitch />
          <Who />
        </div>
      </header>
      {children}
    </>
  );
}

function Who(): JSX.Element {
  const { session, askToSignIn, leave } = useSession();
  if (session.kind === 'anybody' && session.access === 'viewer') {
    return (
      <>
        <span class="muted">looking only</span>
        <button type="button" class="button small" onClick={askToSignIn}>
          Sign in
        </button>
      </>
    );
  }
  return (
    <>
      <span class="muted user" title={`database ${session.database}`}>
        {session.user}
      </span>
      {session.kind !== 'anybody' && (
        <button type="button" class="button small" onClick={leave}>
          Sign out
        </button>
      )}
    </>
  );
}

const THEMES: readonly Theme[] = ['auto', 'light', 'dark'];
const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const;

export function ThemeSwitch(): JSX.Element {
  const [theme, setTheme] = useState(chosenTheme);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button
      type="button"
      class="button quiet"
      aria-label={`Colours: ${theme}. Change to ${next}`}
      title={`Colours: ${theme}`}
      onClick={() => {
        chooseTheme(next);
        setTheme(next);
      }}
    >
      <Icon name={THEME_ICONS[theme]} />
    </button>
  );
}

/** Whether what is seen is of now. */
export function LiveState({ isLive }: { readonly isLive: boolean }): JSX.Element {
  return (
    <span class={`live ${isLive ? 'on' : ''}`} role="status">
      <span class="dot" aria-hidden="true" />
      {isLive ? 'live' : 'connecting …'}
    </span>
  );
}
