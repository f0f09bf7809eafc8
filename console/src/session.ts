import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Entrance, Session } from './api.ts';

export interface SessionContext {
  readonly entrance: Entrance;
  readonly session: Session;
  /** Shows the sign-in. */
  readonly askToSignIn: () => void;
  readonly leave: () => void;
  /** The server says that the session is over, or may be. */
  readonly check: () => void;
}

export const CurrentSession = createContext<SessionContext | null>(null);

export function useSession(): SessionContext {
  const context = useContext(CurrentSession);
  if (context === null) throw new Error('no session');
  return context;
}
