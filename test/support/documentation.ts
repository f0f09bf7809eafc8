import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** A fenced block of a page. */
export interface Block {
  /** The page's path from the repository's root. */
  readonly page: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
  /** The first word behind the fence: `sql`, `sh`, … */
  readonly language: string;
  /** The words behind that; renderers ignore them: `error=42601`, `not-run=docker`, `output`. */
  readonly words: readonly string[];
  /** The name in `<!-- example: name -->` on the line before it: a test of its own runs it. */
  readonly example: string | null;
  readonly text: string;
}

/** A link to a place in this repository. */
export interface LocalLink {
  readonly line: number;
  /** From the page's folder; empty: the page itself. */
  readonly path: string;
  /** Behind the `#`; empty: the top. */
  readonly anchor: string;
}

export interface Page {
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** What `#…` may name, as GitHub derives it from headings. */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly LocalLink[];
  /** What stands between backquotes within the text, outside blocks. */
  readonly inlineCode: readonly string[];
}

/** The README and every page of `docs/`, in the order in which a reader comes to them. */
export function documentation(): readonly Page[] {
  return ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()].map(readPage);
}

/** One page, by its path from the repository's root. Throws where a fence is not closed. */
export function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const { blocks, prose } = split(path, text);
  return {
    path,
    text,
    blocks,
    anchors: anchorsOf(prose),
    links: prose.flatMap((line, at) => linksOf(line, at + 1)),
    inlineCode: Array.from(prose.join('\n').matchAll(/`([^`]+)`/g), ([, code]) => code!.replaceAll('\n', ' ')),
  };
}

/** The block behind `<!-- example: name -->`, as it stands on its page. Throws where there is none. */
export function documentExample(name: string): string {
  const found = documentation()
    .flatMap(({ blocks }) => blocks)
    .find(({ example }) => example === name);
  if (found === undefined) throw new Error(`no page has an example ${name}`);
  return found.text;
}

/** The value of `name=value` among a block's words, or null. */
export function wordOf(block: Block, name: string): string | null {
  const found = block.words.find((word) => word.startsWith(`${name}=`));
  return found === undefined ? null : found.slice(name.length + 1);
}

/** How a test names it. */
export function titleOf(block: Block): string {
  return `${block.page}:${block.line}`;
}

/** The blocks, and the lines of the page with those of blocks empty. */
function split(page: string, text: string): { blocks: Block[]; prose: string[] } {
  const blocks: Block[] = [];
  const prose: string[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)```(.*)$/.exec(lines[at]!);
    if (fence === null) {
      prose.push(lines[at]!);
      continue;
    }
    const end = lines.findIndex((line, index) => index > at && line.trim() === '```');
    if (end === -1) throw new Error(`${page}:${at + 1}: the block is not closed`);
    const [language = '', ...words] = fence[2]!.trim().split(/\s+/);
    const indent = fence[1]!.length;
    const body = lines.slice(at + 1, end).map((line) => `${line.slice(indent)}\n`);
    const example = /^<!-- example: (\S+) -->$/.exec((lines[at - 1] ?? '').trim())?.[1] ?? null;
    blocks.push({ page, line: at + 1, language, words, example, text: body.join('') });
    for (let i = at; i <= end; i++) prose.push('');
    at = end;
  }
  return { blocks, prose };
}

/** As GitHub makes them: lower case, no punctuation, hyphens for spaces, and a number where it would be there twice. */
function anchorsOf(prose: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const line of prose) {
    const heading = /^#{1,6} (.+)$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').trim();
    const plain = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    let anchor = plain;
    for (let number = 1; anchors.has(anchor); number++) anchor = `${plain}-${number}`;
    anchors.add(anchor);
  }
  return anchors;
}

function linksOf(line: string, number: number): LocalLink[] {
  const withoutCode = line.replaceAll(/`[^`]*`/g, '');
  const targets = Array.from(withoutCode.matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor = ''] = target.split('#');
      return { line: number, path, anchor };
    });
}
