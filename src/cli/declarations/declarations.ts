import { must } from '../../base/assert.ts';
import { chooseName } from '../../catalog/naming.ts';
import { PgError } from '../../postgres/sqlstate.ts';
import { analyze } from '../../sql/analyze.ts';
import { HIDDEN_VALUE } from '../../model/secret.ts';
import type * as ast from '../../sql/ast.ts';
import type { Command, CreateStreamCommand } from '../../sql/command.ts';

export type SecretOrigin =
  /** Null: stored in the catalog, and not in the text. */
  | { readonly kind: 'value'; readonly value: string | null }
  | { readonly kind: 'env'; readonly variable: string }
  | { readonly kind: 'file'; readonly path: string };

export interface DeclaredSecret {
  readonly name: string;
  readonly origin: SecretOrigin;
}

export interface DeclaredEndpoint {
  readonly name: string;
  readonly statement: ast.CreateEndpoint;
  readonly command: Extract<Command, { kind: 'create-endpoint' }>;
  /** Null: nothing is said of it. */
  owner: string | null;
}

export interface DeclaredStream {
  readonly name: string;
  /** Null: the one that the client is connected to. */
  readonly database: string | null;
  readonly statement: ast.CreateStream;
  readonly command: CreateStreamCommand;
  comment: string | null;
  owner: string | null;
}

/** Definitions by their names: what a file says, or what a catalog has. */
export class Declarations {
  readonly secrets = new Map<string, DeclaredSecret>();
  readonly endpoints = new Map<string, DeclaredEndpoint>();
  readonly streams = new Map<string, DeclaredStream>();

  /**
   * Takes in what the statement says: a CREATE, or COMMENT ON or OWNER TO of what is there already. A stream is one of
   * `database`. Raises what `analyze`
   * raises, 42710 for a second definition, 42704 for one that is not there, 0A000 for any other statement.
   */
  add(statement: ast.Statement, database: string | null = null): void {
    const command = analyze(statement, []);
    if (statement.kind === 'create-stream' && command.kind === 'create-stream') {
      this.#addStream(statement, command, database);
    } else if (statement.kind === 'create-endpoint' && command.kind === 'create-endpoint') {
      const { name } = command;
      this.#add('endpoint', this.endpoints, statement.name, { name, statement, command, owner: null });
    } else if (statement.kind === 'create-secret') {
      const { text: name } = statement.name;
      this.#add('secret', this.secrets, statement.name, { name, origin: originOf(statement.origin) });
    } else if (command.kind === 'comment-on-stream') {
      this.#there('stream', this.streams, command.name).comment = command.comment;
    } else if (command.kind === 'alter-stream' && command.name !== null && command.action.kind === 'owner') {
      this.#there('stream', this.streams, command.name).owner = roleOf(command.action.role);
    } else if (command.kind === 'alter-endpoint' && command.action.kind === 'owner') {
      this.#there('endpoint', this.endpoints, command.name).owner = roleOf(command.action.role);
    } else {
      throw new PgError('feature_not_supported', 'this statement says nothing of what there should be', {
        hint: 'CREATE CDC SECRET, CREATE CDC ENDPOINT, CREATE CDC STREAM, COMMENT ON CDC STREAM and ALTER … OWNER TO do.',
      });
    }
  }

  #addStream(statement: ast.CreateStream, command: CreateStreamCommand, database: string | null): void {
    const name = command.name ?? defaultName(command);
    const node: ast.Name = { text: name, position: 1 };
    const named = { ...statement, name: node };
    const { comment } = command;
    this.#add('stream', this.streams, node, {
      name,
      database,
      statement: named,
      command: { ...command, name },
      comment,
      owner: null,
    });
  }

  #add<T>(kind: string, map: Map<string, T>, { text, position }: ast.Name, declared: T): void {
    if (map.has(text)) throw new PgError('duplicate_object', `CDC ${kind} "${text}" is defined twice`, { position });
    map.set(text, declared);
  }

  #there<T>(kind: string, map: ReadonlyMap<string, T>, name: string): T {
    const declared = map.get(name);
    if (declared !== undefined) return declared;
    throw new PgError('undefined_object', `CDC ${kind} "${name}" is not defined before this`);
  }
}

/** As CREATE chooses it where there is no stream yet. */
function defaultName({ source }: CreateStreamCommand): string {
  const [item] = source.kind === 'tables' ? source.items : [];
  const tables = [{ ...must(item, 'only a stream of one table may have no name').table }];
  return chooseName({ name: null, ifNotExists: false, tables: tables as never }, () => false).name;
}

function originOf(origin: ast.SecretOrigin): SecretOrigin {
  switch (origin.kind) {
    case 'value': {
      const value = textOf(origin.value);
      return { kind: 'value', value: value === HIDDEN_VALUE ? null : value };
    }
    case 'env':
      return { kind: 'env', variable: textOf(origin.variable) };
    case 'file':
      return { kind: 'file', path: textOf(origin.path) };
  }
}

/** Parameters have been refused by `analyze`. */
function textOf(literal: ast.Literal): string {
  return literal.kind === 'string' ? literal.value : '';
}

function roleOf(role: { readonly kind: string; readonly name?: string }): string {
  if (role.name !== undefined) return role.name;
  throw new PgError('feature_not_supported', 'the owner is to be said by name', {
    hint: 'Who runs it may be another each time.',
  });
}
