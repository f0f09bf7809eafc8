import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { signIn, type Entrance, type SqlMessage } from '../api.ts';
import { Message } from '../parts/notes.tsx';
import { messageOf } from '../query.ts';

interface SignInProps {
  readonly entrance: Entrance;
  readonly entered: (entrance: Entrance) => void;
  /** Back to looking; null where one has to sign in. */
  readonly back: (() => void) | null;
}

/** As a role of the upstream, or with the token. */
export function SignInPage({ entrance, entered, back }: SignInProps): JSX.Element {
  const [isByToken, setByToken] = useState(!entrance.hasPasswords);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<SqlMessage | null>(null);
  const heading = useId();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector('input')?.focus(), [isByToken]);

  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.currentTarget as HTMLFormElement));
    setBusy(true);
    setProblem(null);
    signIn(fields).then(entered, (error: unknown) => {
      setBusy(false);
      setProblem(messageOf(error));
    });
  };
  return (
    <main id="main" class="sign-in" tabIndex={-1}>
      <form ref={form} aria-labelledby={heading} onSubmit={submit}>
        <h1 id={heading}>Sign in to walhook</h1>
        {!entrance.hasPasswords && !entrance.hasToken && (
          <p class="muted">
            Clients have to show a certificate here, which a page cannot. Start walhook with{' '}
            <code>--console-token</code>.
          </p>
        )}
        {isByToken ? (
          <Field name="token" title="Token" type="password" autoComplete="off" key="token" />
        ) : (
          <>
            <p class="muted">With a role of your PostgreSQL: here it sees and does what SQL lets it see and do.</p>
            <Field name="user" title="User" type="text" autoComplete="username" />
            <Field name="password" title="Password" type="password" autoComplete="current-password" />
            <Field name="database" title="Database (optional)" type="text" autoComplete="off" isOptional />
          </>
        )}
        {problem !== null && <Message message={problem} />}
        <button type="submit" class="button main" disabled={isBusy}>
          {isBusy ? 'Signing in …' : 'Sign in'}
        </button>
        <p class="links">
          {entrance.hasToken && entrance.hasPasswords && (
            <button type="button" class="link" onClick={() => setByToken(!isByToken)}>
              {isByToken ? 'Use a role of the database' : 'Use the token'}
            </button>
          )}
          {back !== null && (
            <button type="button" class="link" onClick={back}>
              Only look
            </button>
          )}
        </p>
      </form>
    </main>
  );
}

interface FieldProps {
  readonly name: string;
  readonly title: string;
  readonly type: 'text' | 'password';
  readonly autoComplete: string;
  readonly isOptional?: boolean;
}

function Field({ name, title, type, autoComplete, isOptional = false }: FieldProps): JSX.Element {
  const common = { name, autoComplete, required: !isOptional, spellcheck: false };
  return (
    <label class="field">
      {title}
      {type === 'password' ? <input {...common} type="password" /> : <input {...common} type="text" />}
    </label>
  );
}
