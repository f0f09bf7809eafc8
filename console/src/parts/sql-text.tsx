import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Icon } from './icons.tsx';

const COPIED_MS = 2_000;
const WORDS =
  /('(?:[^']|'')*'|"(?:[^"]|"")*"|\b(?:CREATE|OR|REPLACE|CDC|STREAM|STREAMS|ON|TO|WEBHOOK|ENDPOINT|ENDPOINTS|KAFKA|TOPIC|FORMAT|ENVELOPE|OPERATIONS|WHEN|WHERE|WITH|TABLE|TABLES|IN|SCHEMA|ALL|KEY|TRANSFORM|COMMENT|ALTER|PAUSE|RESUME|RESTART|RESET|CIRCUIT|SHOW|STATUS|HISTORY|OPTIONS|DELIVERIES|DEAD|LETTERS|FOR|LIMIT|PEEK|TEST|CHECK|RETRY|DISCARD|ID|SLOTS|SETTINGS|AS|SECRET|INSERT|UPDATE|DELETE|TRUNCATE|JSON|NATIVE)\b)/g;

/** Key words and constants in their colours; the text is the text. */
function highlighted(sql: string): (JSX.Element | string)[] {
  return sql.split(WORDS).map((part, at) => {
    if (at % 2 === 0) return part;
    const kind = part.startsWith("'") ? 'constant' : part.startsWith('"') ? 'name' : 'word';
    return kind === 'name' ? part : <span class={`sql-${kind}`}>{part}</span>;
  });
}

interface TextProps {
  readonly text: string;
  readonly label: string;
}

/** A statement to copy. */
export function SqlText({ sql, label }: { readonly sql: string; readonly label: string }): JSX.Element {
  return <CopyText text={sql} label={label} shown={highlighted(sql)} />;
}

/** Another text to copy: a body, say. */
export function PlainText({ text, label }: TextProps): JSX.Element {
  return <CopyText text={text} label={label} shown={text} />;
}

function CopyText({ text, label, shown }: TextProps & { readonly shown: ComponentChildren }): JSX.Element {
  return (
    <div class="sql">
      {/* A long one scrolls, and so has to be reached by the keyboard. */}
      <pre tabIndex={0} role="region" aria-label={label}>
        <code>{shown}</code>
      </pre>
      <CopyButton text={text} what={label} />
    </div>
  );
}

/** The statement behind what a page shows: small, and one click to copy. */
export function SourceSql({ sql }: { readonly sql: string }): JSX.Element {
  return (
    <p class="source-sql">
      <code>{sql}</code>
      <CopyButton text={sql} what="SQL" isSmall />
    </p>
  );
}

interface CopyProps {
  readonly text: string;
  readonly what: string;
  readonly isSmall?: boolean;
}

function CopyButton({ text, what, isSmall = false }: CopyProps): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return undefined;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <button
      type="button"
      class={`button quiet${isSmall ? ' small' : ''}`}
      aria-label={isCopied ? 'Copied' : `Copy ${what}`}
      onClick={() => void copy(text).then(setCopied)}
    >
      <Icon name={isCopied ? 'check' : 'copy'} />
      {!isSmall && (isCopied ? 'Copied' : 'Copy')}
    </button>
  );
}

/** Browsers give pages the clipboard only at localhost and by https; elsewhere the old way still works. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'offscreen';
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}
