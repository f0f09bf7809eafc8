import type { ComponentChildren, JSX } from 'preact';
import type { SqlMessage } from '../api.ts';
import { useSession } from '../session.ts';
import { Icon } from './icons.tsx';

/** An error or a notice, as Postgres words it. */
export function Message({ message }: { readonly message: SqlMessage }): JSX.Element {
  const isError = message.severity === 'ERROR' || message.severity === 'FATAL';
  return (
    <div class={`note ${isError ? 'bad' : 'warn'}`} role={isError ? 'alert' : 'status'}>
      <Icon name="warning" />
      <div>
        <p>
          <strong>{message.severity}</strong> {message.message}
          {message.code !== null && message.code !== '00000' && <span class="muted"> ({message.code})</span>}
        </p>
        {message.detail !== undefined && <p>{message.detail}</p>}
        {message.hint !== undefined && <p>Hint: {message.hint}</p>}
      </div>
    </div>
  );
}

export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading(): JSX.Element {
  return (
    <p class="loading" role="status">
      Loading …
    </p>
  );
}

/** In place of what the session may not see. */
export function Hidden({ what }: { readonly what: string }): JSX.Element {
  const { session, askToSignIn } = useSession();
  if (session.kind !== 'anybody') return <p class="muted">Your role may not see {what}.</p>;
  return (
    <p class="muted">
      {what[0]!.toUpperCase() + what.slice(1)} are shown to who has signed in.{' '}
      <button type="button" class="link" onClick={askToSignIn}>
        Sign in
      </button>
    </p>
  );
}
