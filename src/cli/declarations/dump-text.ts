import { quoteIdentifier, quoteLiteral } from '../../postgres/identifier.ts';
import type { ShownCatalog, ShownDefinition } from './catalog-client.ts';
import { HIDDEN_VALUE } from '../../model/secret.ts';

const HEAD = '-- The definitions of a walhook. `walhook apply` makes a catalog equal to them.';
const SECRETS =
  '-- Values that are stored in walhook are in no dump. Apply leaves them as they are, and needs them where there are none.';

/** The definitions as SQL, in an order that runs, each database behind its `\connect`: `readDeclarations` reads it. */
export function dumpText({ secrets, endpoints, streams }: ShownCatalog, withOwners: boolean): string {
  const byDatabase = Map.groupBy(streams, ({ database }) => database);
  const ofDatabase = (database: string | null): string[][] =>
    (byDatabase.get(database) ?? []).map((stream) => definitionText('STREAM', stream, withOwners));
  const others = [...byDatabase.keys()].filter((database) => database !== null);
  const sections = [
    secrets.map(secretText),
    ...endpoints.map((endpoint) => definitionText('ENDPOINT', endpoint, withOwners)),
    ...ofDatabase(null),
    ...others.flatMap((database) => [[`\\connect ${quoteIdentifier(database)}`], ...ofDatabase(database)]),
  ];
  const hasHidden = secrets.some(({ source }) => source === 'value') || sections.flat().some(isHidden);
  const head = hasHidden ? [HEAD, SECRETS] : [HEAD];
  const parts = [head, ...sections].filter((lines) => lines.length > 0);
  return `${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function isHidden(line: string): boolean {
  return line.includes(HIDDEN_VALUE);
}

function secretText({ name, source, location }: ShownCatalog['secrets'][number]): string {
  const create = `CREATE CDC SECRET ${quoteIdentifier(name)}`;
  if (source === 'value') return `-- ${create} AS '${HIDDEN_VALUE}';`;
  return `${create} FROM ${source.toUpperCase()} ${quoteLiteral(location ?? '')};`;
}

function definitionText(kind: string, { name, owner, statement }: ShownDefinition, withOwners: boolean): string[] {
  const alter = `ALTER CDC ${kind} ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(owner)};`;
  return withOwners ? [`${statement};`, alter] : [`${statement};`];
}
