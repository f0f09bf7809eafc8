import { render, type JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { enter, signOut, type Entrance, type SqlMessage } from './api.ts';
import { EndpointsPage } from './pages/endpoints.tsx';
import { ReplicationPage } from './pages/replication.tsx';
import { SettingsPage } from './pages/settings.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { StreamPage } from './pages/stream.tsx';
import { StreamsPage } from './pages/streams.tsx';
import { ActionHost } from './parts/action.tsx';
import { Loading, Message } from './parts/notes.tsx';
import { messageOf } from './query.ts';
import { useRoute, type Route } from './route.ts';
import { CurrentSession, type SessionContext } from './session.ts';
import { Shell } from './shell.tsx';
import './styles.css';

const RETRY_MS = 3_000;

function App(): JSX.Element {
  const route = useRoute();
  const [entrance, setEntrance] = useState<Entrance | null>(null);
  const [problem, setProblem] = useState<SqlMessage | null>(null);
  const [isSigningIn, setSigningIn] = useState(false);

  const check = useCallback(() => {
    enter().then(
      (now) => {
        setProblem(null);
        setEntrance(now);
      },
      (error: unknown) => setProblem(messageOf(error)),
    );
  }, []);
  useEffect(check, []);
  useEffect(() => {
    if (problem === null) return undefined;
    const timer = setTimeout(check, RETRY_MS);
    return () => clearTimeout(timer);
  }, [problem]);
  useEffect(() => {
    document.title = titleOf(route);
  }, [route]);
  const isFirst = useRef(true);
  // What had the focus may be gone with the page before; a screen reader goes on at the new one.
  useEffect(() => {
    if (!isFirst.current) document.getElementById('main')?.focus();
    isFirst.current = false;
  }, [route.page, route.page === 'stream' ? route.name : null]);

  const session = entrance?.session ?? null;
  const context = useMemo<SessionContext | null>(() => {
    if (entrance === null || session === null) return null;
    return {
      entrance,
      session,
      askToSignIn: () => setSigningIn(true),
      leave: () => void signOut().then(check, check),
      check,
    };
  }, [entrance, session, check]);

  if (entrance === null) return <main id="main">{problem === null ? <Loading /> : <Message message={problem} />}</main>;
  if (context === null || isSigningIn) {
    return (
      <SignInPage
        entrance={entrance}
        entered={(now) => {
          setEntrance(now);
          setSigningIn(false);
        }}
        back={context === null ? null : () => setSigningIn(false)}
      />
    );
  }
  return (
    <CurrentSession.Provider value={context}>
      <ActionHost>
        <Shell route={route}>
          {/* Another session sees other things: everything is asked again. */}
          <Page key={context.session.csrf} route={route} />
        </Shell>
      </ActionHost>
    </CurrentSession.Provider>
  );
}

function Page({ route }: { readonly route: Route }): JSX.Element {
  switch (route.page) {
    case 'streams':
      return <StreamsPage />;
    case 'stream':
      return <StreamPage key={route.name} name={route.name} tab={route.tab} />;
    case 'endpoints':
      return <EndpointsPage />;
    case 'replication':
      return <ReplicationPage />;
    case 'settings':
      return <SettingsPage />;
    case 'unknown':
      return (
        <main id="main" tabIndex={-1}>
          <h1>There is no such page</h1>
          <p>
            <a href="#/">To the streams</a>
          </p>
        </main>
      );
  }
}

function titleOf(route: Route): string {
  if (route.page === 'stream') return `${route.name} · walhook`;
  if (route.page === 'unknown') return 'walhook';
  return `${route.page[0]!.toUpperCase()}${route.page.slice(1)} · walhook`;
}

render(<App />, document.getElementById('app')!);
