import { createContext, type ComponentChildren, type JSX } from 'preact';
import { useContext, useEffect, useId, useRef, useState } from 'preact/hooks';
import { ApiError, execute, rowsOf, type SqlAnswer, type SqlMessage } from '../api.ts';
import { messageOf } from '../query.ts';
import { useSession } from '../session.ts';
import { milliseconds } from '../format.ts';
import { Icon } from './icons.tsx';
import { Message } from './notes.tsx';
import { SqlText } from './sql-text.tsx';
import { Badge } from './status.tsx';

export interface ActionProps {
  /** On the button, and over the dialog. */
  readonly title: string;
  /** What it does, in a sentence. */
  readonly text: string;
  readonly sql: string;
  readonly isDangerous?: boolean;
  readonly isMain?: boolean;
  readonly isSmall?: boolean;
  /** What the button says to who does not see what it stands beside. */
  readonly label?: string;
  readonly onDone?: () => void;
}

/** A button that shows the statement and runs exactly that. */
export function Action(props: ActionProps): JSX.Element {
  const open = useContext(OpenAction);
  const { title, label, isDangerous = false, isMain = false, isSmall = false } = props;
  const classes = ['button', isDangerous ? 'danger' : '', isMain ? 'main' : '', isSmall ? 'small' : ''];
  return (
    <button type="button" class={classes.join(' ')} aria-label={label} onClick={() => open(props)}>
      {title}
    </button>
  );
}

const OpenAction = createContext<(action: ActionProps) => void>(() => undefined);

/**
 * Holds the dialog of the action that was chosen, as it was when it was: what is around the button may be another by the
 * time that it is done, or gone.
 */
export function ActionHost({ children }: { readonly children: ComponentChildren }): JSX.Element {
  const [action, setAction] = useState<ActionProps | null>(null);
  const close = (): void => {
    setAction(null);
    // The browser gives the focus back, where there still is what had it.
    if (document.activeElement === document.body) document.getElementById('main')?.focus();
  };
  return (
    <OpenAction.Provider value={setAction}>
      {children}
      {action !== null && <ActionDialog {...action} closed={close} />}
    </OpenAction.Provider>
  );
}

type State =
  | { readonly kind: 'asking' | 'running' }
  | { readonly kind: 'done'; readonly answer: SqlAnswer }
  | { readonly kind: 'failed'; readonly problem: SqlMessage };

function ActionDialog(props: ActionProps & { readonly closed: () => void }): JSX.Element {
  const { title, text, sql, isDangerous = false, closed, onDone } = props;
  const { session, askToSignIn, check } = useSession();
  const [state, setState] = useState<State>({ kind: 'asking' });
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const close = (): void => dialog.current?.close();

  const run = (): void => {
    setState({ kind: 'running' });
    execute(sql).then(
      (answer) => {
        setState({ kind: 'done', answer });
        onDone?.();
      },
      (error: unknown) => {
        if (error instanceof ApiError && error.status === 401) check();
        setState({ kind: 'failed', problem: messageOf(error) });
      },
    );
  };
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={closed}>
      <div class="dialog-head">
        <h2 id={heading}>{title}</h2>
        <button type="button" class="button quiet" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <p>{text}</p>
      <SqlText sql={sql} label="SQL" />
      <div aria-live="polite">
        {state.kind === 'failed' && <Message message={state.problem} />}
        {state.kind === 'done' && <Result answer={state.answer} />}
      </div>
      <div class="dialog-foot">
        {session.access === 'viewer' && <p class="muted">Looking is free here; to run this, sign in.</p>}
        <button type="button" class="button" onClick={close}>
          {state.kind === 'done' ? 'Close' : 'Cancel'}
        </button>
        {session.access === 'viewer' ? (
          <button
            type="button"
            class="button main"
            onClick={() => {
              close();
              askToSignIn();
            }}
          >
            Sign in
          </button>
        ) : (
          state.kind !== 'done' && (
            <button
              type="button"
              class={`button ${isDangerous ? 'danger' : 'main'}`}
              disabled={state.kind === 'running'}
              onClick={run}
            >
              {state.kind === 'running' ? 'Running …' : 'Run this SQL'}
            </button>
          )
        )}
      </div>
    </dialog>
  );
}

function Result({ answer }: { readonly answer: SqlAnswer }): JSX.Element {
  const [tested] = answer.columns.includes('ok') ? rowsOf(answer) : [];
  return (
    <>
      <div class="note good" role="status">
        <Icon name="check" />
        <p>
          <code>{answer.tag}</code>
        </p>
      </div>
      {tested !== undefined && (
        <dl class="facts">
          <dt>Answer</dt>
          <dd>
            {tested['ok'] === 't' ? <Badge tone="good" text="accepted" /> : <Badge tone="bad" text="not accepted" />}{' '}
            {tested['http_status'] !== null && `HTTP ${tested['http_status']}`}
          </dd>
          <dt>Took</dt>
          <dd>{milliseconds(Number(tested['total_ms']))}</dd>
          <dt>Signed</dt>
          <dd>{tested['signature_sent'] === 't' ? 'yes' : 'no'}</dd>
          {tested['error'] !== null && (
            <>
              <dt>Error</dt>
              <dd>{tested['error']}</dd>
            </>
          )}
          {tested['response_excerpt'] !== null && tested['response_excerpt'] !== '' && (
            <>
              <dt>Body</dt>
              <dd>
                <code>{tested['response_excerpt']}</code>
              </dd>
            </>
          )}
        </dl>
      )}
      {answer.notices.map((notice) => (
        <Message key={notice.message} message={notice} />
      ))}
    </>
  );
}
