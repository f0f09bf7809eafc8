import { useEffect, useState } from 'preact/hooks';

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'walhook-theme';
const CHANGED = 'walhook-theme-changed';

export function chosenTheme(): Theme {
  const { theme } = document.documentElement.dataset;
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

/** `public/theme.js` reads it again at the next load. */
export function chooseTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    if (theme === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then holds for this page.
  }
  dispatchEvent(new Event(CHANGED));
}

/** What is shown now, for what is drawn and does not follow the style sheet. */
export function useTheme(): 'light' | 'dark' {
  const [shown, setShown] = useState(shownTheme);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const changed = (): void => setShown(shownTheme());
    query.addEventListener('change', changed);
    addEventListener(CHANGED, changed);
    return () => {
      query.removeEventListener('change', changed);
      removeEventListener(CHANGED, changed);
    };
  }, []);
  return shown;
}

function shownTheme(): 'light' | 'dark' {
  const chosen = chosenTheme();
  if (chosen !== 'auto') return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}
