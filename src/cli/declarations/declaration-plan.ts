import type { DefiningStatement } from '../../sql/ast.ts';
import { type References, referencesIn } from '../../model/references.ts';
import type { Declarations, DeclaredSecret, DeclaredStream } from './declarations.ts';
import { planEndpoint } from './plan-endpoints.ts';
import { planStream } from './plan-streams.ts';

/** One statement of a plan. */
export interface Step {
  /** Where it is said; null: where the client is connected to. */
  readonly database: string | null;
  readonly does: 'create' | 'alter' | 'replace' | 'drop';
  readonly statement: DefiningStatement;
}

/** What makes a catalog what a file says. */
export interface DeclarationPlan {
  /** In an order that runs, a transaction for each run of one database's. */
  readonly steps: readonly Step[];
  /** What could not be compared and is left as it is. */
  readonly notes: readonly string[];
  /** Why it cannot be done: then nothing is to be. */
  readonly problems: readonly string[];
}

export interface PlanOptions {
  /** Who runs it, and so owns what is created. */
  readonly role: string;
  /** Values that nobody is shown, and that the file has, are set although they may be the same. */
  readonly setHidden: boolean;
}

/** A plan in the making. */
export class DeclarationPlanner implements DeclarationPlan {
  readonly steps: Step[] = [];
  readonly notes: string[] = [];
  readonly problems: string[] = [];
  readonly options: PlanOptions;
  /** Of the steps that are planned now. */
  database: string | null = null;

  constructor(options: PlanOptions) {
    this.options = options;
  }

  do(does: Step['does'], statement: DefiningStatement): void {
    this.steps.push({ database: this.database, does, statement });
  }

  /** Whether what cannot be compared is to be set; if not, it is noted. `what` belongs to `object`. */
  setsHidden(object: string, what: string): boolean {
    if (!this.options.setHidden) {
      this.notes.push(`${object}: ${what} is not shown by the catalog and stays as it is (--set-hidden sets it)`);
    }
    return this.options.setHidden;
  }

  /** A value that is needed and not in the file. */
  require(object: string, missing: readonly string[]): void {
    for (const what of missing) this.problems.push(`${object}: the file does not have the value of ${what}`);
  }
}

/**
 * The steps from what there is to what is wanted. Streams are altered by what keeps their position. Endpoints and secrets are
 * there before the streams that use them, and go after those that did. Streams of a database of which nothing is wanted stay.
 */
export function planDeclarations(have: Declarations, want: Declarations, options: PlanOptions): DeclarationPlan {
  const planner = new DeclarationPlanner(options);
  for (const secret of want.secrets.values()) planSecret(planner, have.secrets.get(secret.name), secret);
  for (const endpoint of want.endpoints.values()) planEndpoint(planner, have.endpoints.get(endpoint.name), endpoint);
  const kept = planStreams(planner, have.streams, want.streams);
  const { endpoints, secrets } = usedBy(kept, have);
  drop(planner, 'drop-endpoints', without(have.endpoints, endpoints), want.endpoints);
  drop(planner, 'drop-secrets', without(have.secrets, secrets), want.secrets);
  return planner;
}

type Streams = Declarations['streams'];

/** Database by database, that of the client first. Returns the streams of those of which nothing is wanted. */
function planStreams(planner: DeclarationPlanner, have: Streams, want: Streams): readonly DeclaredStream[] {
  const wanted = Map.groupBy(want.values(), ({ database }) => database);
  const databases = new Set([null, ...wanted.keys()]);
  for (const database of databases) {
    planner.database = database;
    for (const stream of wanted.get(database) ?? []) {
      const old = have.get(stream.name);
      if (old === undefined || old.database === database) planStream(planner, old, stream);
      else planner.problems.push(`CDC stream ${stream.name}: there is one in another database; drop it there first`);
    }
    drop(planner, 'drop-streams', new Map([...have].filter(([, stream]) => stream.database === database)), want);
  }
  planner.database = null;
  const kept = [...have.values()].filter(({ database }) => !databases.has(database));
  for (const database of new Set(kept.map((stream) => stream.database))) {
    planner.notes.push(`the file says nothing of the database ${database}: its streams stay, and what they use`);
  }
  return kept;
}

function usedBy(streams: readonly DeclaredStream[], { endpoints }: Declarations): References {
  const direct = referencesIn(streams.map(({ command }) => command));
  const options = [...direct.endpoints].map((name) => endpoints.get(name)?.command.options);
  return { endpoints: direct.endpoints, secrets: new Set([...direct.secrets, ...referencesIn(options).secrets]) };
}

function without<T>(map: ReadonlyMap<string, T>, names: ReadonlySet<string>): ReadonlyMap<string, T> {
  return new Map([...map].filter(([name]) => !names.has(name)));
}

function planSecret(planner: DeclarationPlanner, have: DeclaredSecret | undefined, want: DeclaredSecret): void {
  const { name, origin } = want;
  const object = `CDC secret ${name}`;
  const node = { text: name, position };
  if (have === undefined) {
    if (origin.kind === 'value' && origin.value === null) {
      planner.problems.push(`${object}: there is none, and the file does not have its value`);
      return;
    }
    planner.do('create', { kind: 'create-secret', ifNotExists: false, name: node, origin: originNode(origin) });
    return;
  }
  if (origin.kind === 'value') {
    if (origin.value === null && have.origin.kind === 'value') return;
    if (origin.value === null) return planner.require(object, ['the secret']);
    if (have.origin.kind === 'value' && !planner.setsHidden(object, 'its value')) return;
    planner.do('alter', { kind: 'alter-secret', name: node, value: literal(origin.value), keepOldFor: null });
    return;
  }
  if (JSON.stringify(origin) === JSON.stringify(have.origin)) return;
  planner.problems.push(
    `${object}: where it comes from cannot be altered; make another, have what uses this one use that, and drop this one`,
  );
}

const position = 1;

function literal(value: string) {
  return { kind: 'string', value, position } as const;
}

function originNode(origin: DeclaredSecret['origin']) {
  switch (origin.kind) {
    case 'value':
      return { kind: origin.kind, value: literal(origin.value ?? '') } as const;
    case 'env':
      return { kind: origin.kind, variable: literal(origin.variable) } as const;
    case 'file':
      return { kind: origin.kind, path: literal(origin.path) } as const;
  }
}

function drop(
  planner: DeclarationPlanner,
  kind: 'drop-streams' | 'drop-endpoints' | 'drop-secrets',
  have: ReadonlyMap<string, unknown>,
  want: ReadonlyMap<string, unknown>,
): void {
  for (const name of have.keys()) {
    if (!want.has(name)) planner.do('drop', { kind, ifExists: false, names: [{ text: name, position }] });
  }
}
