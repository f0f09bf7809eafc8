import { characterCount } from '../../frontend/client-encoding.ts';
import { PgError } from '../../postgres/sqlstate.ts';
import { isOurs } from '../../sql/classify.ts';
import { Lexer } from '../../sql/lexer.ts';
import { parseStatement } from '../../sql/parser.ts';
import { splitStatements } from '../../sql/split.ts';
import { Declarations } from './declarations.ts';

/** All that is wrong with a file of declarations, each with its place as `file:line:column`. */
export class DeclarationError extends Error {
  override readonly name = 'DeclarationError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const SETTINGS = { standardConformingStrings: true };
/** What `dump` writes for a secret whose value it has not got. */
const PLACEHOLDER = /^--[ \t]*(CREATE CDC SECRET (?:\w+|"(?:[^"]|"")+") AS '\*\*\*');?[ \t]*$/gm;

/** At the beginning of a line, up to its end. */
const CONNECT = /\\connect[ \t]+(?:"((?:[^"]|"")+)"|([^\s"'\\;]+))[ \t]*$/my;

/**
 * What the file says there should be. `\connect name` on a line, as psql has it, says of which database the streams behind
 * it are. A comment `-- CREATE CDC SECRET name AS '***';` says that there is such a secret, its
 * value being nobody's matter here. `file` is its name in messages. Throws `DeclarationError`.
 */
export function readDeclarations(whole: string, file: string): Declarations {
  const { text, connects } = withoutConnects(whole);
  const declarations = new Declarations();
  const problems: string[] = [];
  const attempt = (start: number, run: () => void): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof PgError)) throw error;
      const offset = error.position === undefined ? start : advance(text, start, error.position - 1);
      problems.push(`${file}:${placeOf(text, offset)}: ${explain(error)}`);
    }
  };
  for (const { start, end } of statementsIn(text)) {
    attempt(start, () => {
      if (!isOurs(text, { start, end }, SETTINGS)) throw foreign();
      const database = connects.findLast((connect) => connect.offset < start)?.database ?? null;
      declarations.add(parseStatement(text.slice(start, end), SETTINGS), database);
    });
  }
  if (problems.length > 0) throw new DeclarationError(problems);
  return declarations;
}

interface Connect {
  readonly offset: number;
  readonly database: string;
}

/** The text with blanks in the place of each `\connect`, which stands in no string and no comment. */
function withoutConnects(text: string): { text: string; connects: readonly Connect[] } {
  const connects: Connect[] = [];
  let blanked = text;
  const lexer = new Lexer(text, SETTINGS);
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) {
    const { start: offset } = token;
    if (text[offset] !== '\\' || (offset > 0 && text[offset - 1] !== '\n')) continue;
    CONNECT.lastIndex = offset;
    const match = CONNECT.exec(text);
    if (match === null) continue;
    connects.push({ offset, database: match[1]?.replaceAll('""', '"') ?? match[2]! });
    blanked = blanked.slice(0, offset) + ' '.repeat(match[0].length) + blanked.slice(offset + match[0].length);
  }
  return { text: blanked, connects };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The statements, and those that stand in comments as placeholders, in their order. */
function statementsIn(text: string): readonly Span[] {
  return [...splitStatements(text, SETTINGS), ...placeholdersIn(text)].toSorted((a, b) => a.start - b.start);
}

/** Those in comments, and none that stands inside a string. */
function placeholdersIn(text: string): readonly Span[] {
  const spans: Span[] = [];
  const lexer = new Lexer(text, SETTINGS);
  let from = 0;
  for (;;) {
    const token = lexer.next();
    for (const match of text.slice(from, token.start).matchAll(PLACEHOLDER)) {
      const statement = match[1]!;
      const start = from + match.index + match[0].indexOf(statement);
      spans.push({ start, end: start + statement.length });
    }
    if (token.kind === 'end') return spans;
    from = token.end;
  }
}

function foreign(): PgError {
  return new PgError('feature_not_supported', 'this is no statement of walhook', {
    position: 1,
    hint: 'A file for apply has the definitions of streams, endpoints and secrets, and nothing else.',
  });
}

/** The offset of what stands so many characters behind `start`. */
function advance(text: string, start: number, characters: number): number {
  let at = start;
  for (let left = characters; left > 0 && at < text.length; left--) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}

function placeOf(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n');
  const last = lines.at(-1)!;
  return `${lines.length}:${characterCount(last, last.length) + 1}`;
}

/** Message, DETAIL and HINT in a line. */
export function explain({ message, detail, hint }: Pick<PgError, 'message' | 'detail' | 'hint'>): string {
  const parts = [message, detail, hint].filter((part) => part !== undefined && part !== '');
  return parts.map((part) => part!.replace(/\.$/, '')).join('. ');
}
