import { NO_CHANGES, type OptionChanges } from '../model/option-changes.ts';
import { MAX_SECRET_BYTES, SecretValue } from '../model/secret.ts';
import { parseLsn, type Lsn } from '../postgres/lsn.ts';
import type * as ast from './ast.ts';
import { analyzeCreateStream, analyzeDestination, analyzeTransform, tableRequest } from './analyze-create.ts';
import { changedOptions, endpointOptions, resetOptions } from './analyze-options.ts';
import type {
  Command,
  EndpointActionCommand,
  ReplayRange,
  RoleRequest,
  StreamActionCommand,
  TestTargetCommand,
} from './command.ts';
import { isDefining } from './defining.ts';
import { isRefusal, readIntervalMs } from './option-types.ts';
import { checkedName, checkedTable, invalid, type Parameters, Values } from './values.ts';

/**
 * What the statement asks for, typed and with every default filled in. Looks nothing up. Errors are `PgError` with a
 * position: 42P02 a parameter without value, 22023 a NULL or a value that its place does not take, 42622 a name longer than
 * Postgres's names, 0A000 what is understood but not supported.
 */
export function analyze(statement: ast.Statement, parameters: Parameters): Command {
  const values = new Values(parameters);
  return isDefining(statement) ? analyzeDefining(statement, values) : analyzeAsking(statement, values);
}

function analyzeDefining(statement: ast.DefiningStatement, values: Values): Command {
  switch (statement.kind) {
    case 'create-stream':
      return analyzeCreateStream(statement, values);
    case 'alter-stream': {
      const name = statement.name === null ? null : checkedName(statement.name);
      return { kind: statement.kind, name, action: analyzeAction(statement.action, values) };
    }
    case 'drop-streams':
    case 'drop-endpoints':
    case 'drop-secrets':
      return { kind: statement.kind, names: statement.names.map(checkedName), ifExists: statement.ifExists };
    case 'create-endpoint': {
      const { kind, orReplace, ifNotExists, url, options } = statement;
      const name = checkedName(statement.name);
      return { kind, orReplace, ifNotExists, name, url: values.url(url), options: endpointOptions(options, values) };
    }
    case 'alter-endpoint':
      return {
        kind: statement.kind,
        name: checkedName(statement.name),
        action: analyzeEndpointAction(statement.action, values),
      };
    case 'create-secret':
    case 'alter-secret':
      return analyzeSecret(statement, values);
    case 'comment-on-stream':
      return {
        kind: statement.kind,
        name: checkedName(statement.name),
        comment: values.textOrNull(statement.comment),
      };
  }
}

/** The statements that change no definition. */
function analyzeAsking(statement: ast.AskingStatement, values: Values): Command {
  switch (statement.kind) {
    case 'explain-create-stream':
      return { kind: statement.kind, create: analyzeCreateStream(statement.create, values) };
    case 'show-streams':
      return { kind: statement.kind, like: values.textOrNull(statement.like) };
    case 'show-deliveries':
    case 'show-dead-letters': {
      const stream = statement.stream === null ? null : checkedName(statement.stream);
      return { kind: statement.kind, stream, limit: values.limit(statement.limit) };
    }
    case 'test':
      return { kind: statement.kind, target: analyzeTarget(statement.target, values) };
    case 'peek-stream':
      return { kind: statement.kind, name: checkedName(statement.name), limit: values.limit(statement.limit) };
    case 'backfill-stream':
      return {
        kind: statement.kind,
        name: checkedName(statement.name),
        table: statement.table === null ? null : checkedTable(statement.table),
        where: statement.where === null ? null : values.predicate(statement.where),
      };
    case 'replay-stream':
      return { kind: statement.kind, name: checkedName(statement.name), from: analyzeReplay(statement.from, values) };
    case 'retry-dead-letters':
    case 'discard-dead-letters': {
      const id = statement.id === null ? null : nonEmpty(statement.id, 'a dead letter’s id', values);
      return { kind: statement.kind, stream: checkedName(statement.stream), id };
    }
    case 'cancel-backfill':
    case 'show-stream-status':
    case 'show-stream-tables':
    case 'show-stream-options':
    case 'show-stream-history':
    case 'show-create-stream':
    case 'show-create-endpoint':
      return { kind: statement.kind, name: checkedName(statement.name) };
    case 'show-endpoints':
    case 'show-secrets':
    case 'show-slots':
    case 'show-settings':
    case 'show-version':
    case 'check':
      return { kind: statement.kind };
  }
}

function analyzeAction(action: ast.StreamAction, values: Values): StreamActionCommand {
  switch (action.kind) {
    case 'pause':
    case 'resume':
    case 'restart':
    case 'reset-circuit':
      return { kind: action.kind };
    case 'set-options':
    case 'reset-options':
    case 'rename':
    case 'owner':
      return analyzeCommonAction(action, values);
    case 'add-tables':
      return { kind: action.kind, items: action.items.map((item) => tableRequest(item, values)) };
    case 'drop-tables':
      return { kind: action.kind, tables: action.tables.map(checkedTable) };
    case 'set-destination':
      return { kind: action.kind, destination: analyzeDestination(action.destination, values) };
    case 'set-format':
      return { kind: action.kind, format: action.format.value };
    case 'set-envelope':
      return { kind: action.kind, envelope: action.envelope.value };
    case 'set-when':
      return { kind: action.kind, when: values.predicate(action.when) };
    case 'set-transform':
      return { kind: action.kind, transform: analyzeTransform(action.transform, values) };
    case 'skip-event':
      return { kind: action.kind, id: nonEmpty(action.id, 'an event’s id', values) };
  }
}

type CommonAction = Extract<ast.StreamAction, { kind: 'set-options' | 'reset-options' | 'rename' | 'owner' }>;

function analyzeCommonAction(
  action: CommonAction,
  values: Values,
): Extract<StreamActionCommand, { kind: 'change-options' | 'rename' | 'owner' }> {
  switch (action.kind) {
    case 'set-options':
      return { kind: 'change-options', changes: changedOptions(action.options, values) };
    case 'reset-options':
      return { kind: 'change-options', changes: resetOptions(action.names) };
    case 'rename':
      return { kind: action.kind, to: checkedName(action.to) };
    case 'owner':
      return { kind: action.kind, role: roleRequest(action.role) };
  }
}

function roleRequest(role: ast.Role): RoleRequest {
  if (!('kind' in role)) return { kind: 'name', name: checkedName(role) };
  return { kind: role.text === 'session_user' ? 'session_user' : 'current_user' };
}

function analyzeEndpointAction(action: ast.EndpointAction, values: Values): EndpointActionCommand {
  if (action.kind !== 'set-url') return analyzeCommonAction(action, values);
  const changes: OptionChanges = action.options.length === 0 ? NO_CHANGES : changedOptions(action.options, values);
  return { kind: action.kind, url: values.url(action.url), changes };
}

function analyzeSecret(statement: ast.CreateSecret | ast.AlterSecret, values: Values): Command {
  const name = checkedName(statement.name);
  if (statement.kind === 'alter-secret') {
    const { kind, value, keepOldFor } = statement;
    const keepOldForMs = keepOldFor === null ? null : interval(keepOldFor, 'KEEP OLD FOR', values);
    return { kind, name, value: secretText(value, values), keepOldForMs };
  }
  const { kind, ifNotExists, origin } = statement;
  switch (origin.kind) {
    case 'value':
      return { kind, ifNotExists, name, source: { kind: origin.kind, value: secretText(origin.value, values) } };
    case 'env': {
      const variable = values.text(origin.variable);
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(variable)) {
        const detail = 'Names of environment variables are letters, digits and underscores.';
        throw invalid('invalid name of an environment variable', origin.variable.position, detail);
      }
      return { kind, ifNotExists, name, source: { kind: origin.kind, variable } };
    }
    case 'file': {
      const path = values.text(origin.path);
      if (!path.startsWith('/') || path.length > MAX_PATH_LENGTH || /\p{Cc}/u.test(path)) {
        const detail = `The path of a file is absolute, and has at most ${MAX_PATH_LENGTH} characters.`;
        throw invalid('invalid path of a file', origin.path.position, detail);
      }
      return { kind, ifNotExists, name, source: { kind: origin.kind, path } };
    }
  }
}

const MAX_PATH_LENGTH = 4096;

function secretText(literal: ast.Literal, values: Values): SecretValue {
  const text = values.text(literal);
  if (text === '') throw invalid('a secret cannot be empty', literal.position);
  const value = new SecretValue(text);
  if (value.byteLength <= MAX_SECRET_BYTES) return value;
  throw invalid('secret too long', literal.position, `Secrets have at most ${MAX_SECRET_BYTES} bytes.`);
}

function interval(literal: ast.Literal, where: string, values: Values): number {
  const text = values.text(literal);
  const ms = readIntervalMs(text);
  if (!isRefusal(ms) && ms <= MAX_INTERVAL_MS) return ms;
  const hint = isRefusal(ms) ? (ms.hint ?? undefined) : undefined;
  const detail = `Valid values are intervals from '0s' to '365d'.`;
  throw invalid(`invalid value for ${where}: "${text.slice(0, 100)}"`, literal.position, detail, hint);
}

const MAX_INTERVAL_MS = 365 * 86_400_000;

function nonEmpty(literal: ast.Literal, what: string, values: Values): string {
  const text = values.text(literal);
  if (text === '') throw invalid(`${what} cannot be empty`, literal.position);
  return text;
}

function analyzeTarget(target: ast.TestTarget, values: Values): TestTargetCommand {
  if (target.kind === 'webhook') return { kind: target.kind, url: values.url(target.url) };
  return { kind: target.kind, name: checkedName(target.name) };
}

function analyzeReplay(from: ast.ReplayStream['from'], values: Values): ReplayRange {
  if (from.kind === 'since') {
    return { kind: from.kind, time: nonEmpty(from.time, 'a time', values), position: from.time.position };
  }
  const start = lsn(from.from, values);
  const end = from.to === null ? null : lsn(from.to, values);
  if (end !== null && end < start) throw invalid('TO LSN lies before FROM LSN', from.to!.position);
  return { kind: from.kind, from: start, to: end };
}

function lsn(literal: ast.Literal, values: Values): Lsn {
  const text = values.text(literal);
  const value = parseLsn(text.trim());
  if (value !== null) return value;
  const detail = `Valid values are positions in the log, as in '16/B374D848'.`;
  throw invalid(`invalid LSN: "${text.slice(0, 100)}"`, literal.position, detail);
}
