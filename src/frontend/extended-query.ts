import type { Logger } from '../base/logger.ts';
import { must } from '../base/assert.ts';
import { OID } from '../postgres/oid.ts';
import { asciiLiteral } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { writeBare, writeParameterDescription, type Format } from '../wire/backend-messages.ts';
import {
  decodeBind,
  decodeBindNames,
  decodeExecute,
  decodeParse,
  decodeParseName,
  decodeTarget,
  decodeTextLeniently,
  type Bind,
} from '../wire/frontend-messages.ts';
import { BACKEND, FRONTEND, STATUS } from '../wire/message-type.ts';
import { Writer } from '../wire/writer.ts';
import { answerComplete, answerNotices, answerRows, formatsOf, rowDescription } from './answer.ts';
import { decodeText, requireValid } from './client-encoding.ts';
import { errorResponse } from './error-response.ts';
import { failGroup } from './failing.ts';
import { preventInFailed, type CommandRunner } from './command-runner.ts';
import type { Interception } from './interception.ts';
import type { OwnNames, OwnStatement } from './own-names.ts';
import { ExtendedQuestioner } from './question.ts';
import { SessionEndedError, type Relay } from './relay.ts';
import type { Column } from './result.ts';
import { columnsOf } from './result-columns.ts';
import { prepareStatement, type OurText, type Prepared, type Recogniser, type TextSettings } from './statement.ts';

const HEADER_BYTES = 5;

/**
 * Answers the extended protocol's messages that are about statements and portals of ours, which live here under the
 * client's names. A name belongs to one side at a time, as if all were in one place.
 */
export class ExtendedQuery {
  readonly #relay: Relay;
  readonly #logger: Logger;
  readonly #names: OwnNames;
  readonly #runner: CommandRunner;
  readonly #recogniser: Recogniser;

  constructor({ relay, logger, names, runner, recogniser }: Interception) {
    this.#relay = relay;
    this.#logger = logger;
    this.#names = names;
    this.#runner = runner;
    this.#recogniser = recogniser;
  }

  /** Whether the message is ours to answer. Takes note of those that are not but put an end to names of ours. */
  concerns(type: number, message: Buffer, whole: boolean): boolean {
    try {
      switch (type) {
        case FRONTEND.parse:
          return this.#concernsParse(message, whole);
        case FRONTEND.bind:
          return this.#concernsBind(message);
        case FRONTEND.close:
          this.#close(message);
          return false;
        case FRONTEND.describe: {
          const { kind, name } = decodeTarget(message);
          return kind === 'statement' ? this.#names.hasStatement(name) : this.#names.hasPortal(name);
        }
        case FRONTEND.execute:
          return this.#names.hasPortal(decodeExecute(message).portal);
        default:
          // The Sync that ends what was skipped.
          this.#relay.isSkipping = false;
          return false;
      }
    } catch (error) {
      // What cannot be read is the upstream's to complain of.
      if (error instanceof PgError) return false;
      throw error;
    }
  }

  async handle(message: Buffer): Promise<void> {
    const relay = this.#relay;
    const type = message.readUInt8(0);
    // An answer that came meanwhile may have ended the name (DEALLOCATE ALL, the end of a transaction).
    if (type !== FRONTEND.parse && !this.concerns(type, message, true)) {
      relay.send(message);
      return;
    }
    try {
      switch (type) {
        case FRONTEND.parse:
          return await this.#parse(message);
        case FRONTEND.bind:
          return await this.#bind(message);
        case FRONTEND.describe:
          return await this.#describe(message);
        default:
          return await this.#execute(message);
      }
    } catch (error) {
      if (error instanceof SessionEndedError) throw error;
      await relay.answer(errorResponse(error, relay.clientEncoding, this.#logger));
      // It may have been the upstream that failed, in answer to a question.
      if (relay.due.isSkipping) return;
      if (relay.status === STATUS.inBlock || relay.due.isGroupOpen) await failGroup(relay);
      else relay.isSkipping = true;
    }
  }

  #concernsParse(message: Buffer, whole: boolean): boolean {
    const name = decodeParseName(message);
    const isOurs = whole
      ? this.#mayConcern(message)
      : this.#recogniser.mayBeOurs(message, HEADER_BYTES, message.length);
    return isOurs || this.#concernsForeignParse(name);
  }

  #mayConcern(message: Buffer): boolean {
    const text = decodeTextLeniently(message);
    return this.#recogniser.mayConcern(text, 0, text.length);
  }

  /** Only where it takes the name of a statement of ours. */
  #concernsForeignParse(name: string): boolean {
    if (name !== '') return this.#names.hasStatement(name);
    this.#names.deleteStatement('');
    return false;
  }

  #concernsBind(message: Buffer): boolean {
    const { portal, statement } = decodeBindNames(message);
    if (this.#names.hasStatement(statement)) return true;
    if (portal !== '') return this.#names.hasPortal(portal);
    this.#names.deletePortal('');
    return false;
  }

  #close(message: Buffer): void {
    const { kind, name } = decodeTarget(message);
    if (kind === 'statement') this.#names.deleteStatement(name);
    else this.#names.deletePortal(name);
  }

  async #parse(message: Buffer): Promise<void> {
    const { name, text: bytes, parameterTypes } = decodeParse(message);
    const relay = this.#relay;
    const ours = this.#recogniser.recognise(bytes, 0, bytes.length);
    if (ours) requireValid(bytes, relay.clientEncoding);
    if (!ours && !this.#concernsForeignParse(name)) {
      relay.send(message);
      return;
    }
    // As in Postgres, the unnamed one before is gone even if this one fails.
    if (name === '') this.#names.deleteStatement('');
    // Also as there: errors of syntax, then the transaction's state, then what the statement says, then its name.
    const prepared = ours && prepare(ours, relay);
    preventInFailed(relay);
    prepared?.check();
    if (name !== '' && (this.#names.hasStatement(name) || (await this.#isUpstreamStatement(name)))) {
      throw new PgError('duplicate_prepared_statement', `prepared statement "${name}" already exists`);
    }
    // One that is not ours has just failed for its name.
    this.#names.addStatement(name, statementOf(must(prepared, 'a statement of ours'), parameterTypes));
    await this.#bare(BACKEND.parseComplete);
  }

  async #bind(message: Buffer): Promise<void> {
    preventInFailed(this.#relay);
    const bind = decodeBind(message);
    const statement = this.#names.statement(bind.statement);
    const isTaken = this.#names.hasPortal(bind.portal) || (statement && (await this.#isUpstreamPortal(bind.portal)));
    if (bind.portal !== '' && isTaken) {
      throw new PgError('duplicate_cursor', `cursor "${bind.portal}" already exists`);
    }
    // A portal of ours is all that a statement of the upstream's could be stopped for.
    const { prepared, columns, parameterTypes } = must(statement, 'a statement of ours');
    this.#names.addPortal(bind.portal, {
      statement: { prepared, columns, parameterTypes },
      command: prepared.command(parametersOf(bind, parameterTypes.length, this.#relay.clientEncoding)),
      formats: resultFormats(bind, columns),
      run: null,
    });
    await this.#bare(BACKEND.bindComplete);
  }

  async #describe(message: Buffer): Promise<void> {
    const { kind, name } = decodeTarget(message);
    if (kind === 'portal') {
      const { statement, formats } = must(this.#names.portal(name), 'a portal of ours');
      if (statement.columns.length > 0) preventInFailed(this.#relay);
      await this.#describeRows(statement.columns, formats);
      return;
    }
    const { columns, parameterTypes } = must(this.#names.statement(name), 'a statement of ours');
    // As in Postgres, which in a failed transaction still describes what returns nothing.
    if (columns.length > 0) preventInFailed(this.#relay);
    const writer = new Writer();
    writeParameterDescription(writer, parameterTypes);
    await this.#relay.answer(writer.finish());
    await this.#describeRows(columns, formatsOf(columns, []));
  }

  async #describeRows(columns: readonly Column[], formats: readonly Format[]): Promise<void> {
    if (columns.length === 0) await this.#bare(BACKEND.noData);
    else await this.#relay.answer(rowDescription(columns, formats));
  }

  async #execute(message: Buffer): Promise<void> {
    const relay = this.#relay;
    preventInFailed(relay);
    const { portal: name, maxRows } = decodeExecute(message);
    const portal = must(this.#names.portal(name), 'a portal of ours');
    const { prepared, columns } = portal.statement;
    if (portal.run && columns.length === 0) {
      throw new PgError('object_not_in_prerequisite_state', `portal "${name}" cannot be run`);
    }
    if (!portal.run) {
      const result = await prepared.placed(() =>
        this.#runner.run(portal.command, new ExtendedQuestioner(relay), relay.due.hasExecuted),
      );
      await answerNotices(relay, result);
      portal.run = { result, sent: 0 };
    }
    const { result, sent } = portal.run;
    const rows = result.rows.slice(sent, maxRows === 0 ? undefined : sent + maxRows);
    portal.run.sent += rows.length;
    await answerRows(relay, columns, portal.formats, rows);
    // As in Postgres: suspended whenever the limit was reached, even at the last row.
    if (maxRows !== 0 && rows.length === maxRows) await this.#bare(BACKEND.portalSuspended);
    else await answerComplete(relay, result.tag);
  }

  async #isUpstreamStatement(name: string): Promise<boolean> {
    return this.#exists(`FROM pg_catalog.pg_prepared_statements s WHERE s.name`, name);
  }

  async #isUpstreamPortal(name: string): Promise<boolean> {
    return name !== '' && this.#exists(`FROM pg_catalog.pg_cursors c WHERE c.name`, name);
  }

  async #exists(from: string, name: string): Promise<boolean> {
    const text = decodeText(Buffer.from(name, 'latin1'), this.#relay.clientEncoding);
    const expression = `pg_catalog.to_json(EXISTS (SELECT ${from} OPERATOR(pg_catalog.=) ${asciiLiteral(text)}))`;
    return (await new ExtendedQuestioner(this.#relay).ask(expression)) === true;
  }

  async #bare(type: number): Promise<void> {
    const writer = new Writer(8);
    writeBare(writer, type);
    await this.#relay.answer(writer.finish());
  }
}

function prepare({ text, statements }: OurText, settings: TextSettings): Prepared {
  const prepared = statements.filter(({ isOurs }) => isOurs).map(({ span }) => prepareStatement(text, span, settings));
  if (statements.length > 1) {
    throw new PgError('syntax_error', 'cannot insert multiple commands into a prepared statement');
  }
  return must(prepared[0], 'a statement');
}

function statementOf(prepared: Prepared, given: readonly number[]): OwnStatement {
  return {
    prepared,
    columns: columnsOf(prepared.kind),
    parameterTypes: Array.from({ length: prepared.parameterCount }, (_, i) => parameterType(i, given[i])),
  };
}

/** The types whose binary form is their text. */
const TEXT_TYPES: ReadonlySet<number> = new Set([OID.text, OID.varchar, OID.unknown, 1042, 19]);

function parameterType(index: number, given: number | undefined): number {
  if (given === undefined || given === 0 || given === OID.unknown) return OID.text;
  if (TEXT_TYPES.has(given)) return given;
  throw new PgError('invalid_parameter_value', `parameter $${index + 1} must be of type text`);
}

function parametersOf(bind: Bind, expected: number, encoding: string): Array<string | null> {
  const { parameters, parameterFormats, statement } = bind;
  if (parameterFormats.length > 1 && parameterFormats.length !== parameters.length) {
    const message = `bind message has ${parameterFormats.length} parameter formats but ${parameters.length} parameters`;
    throw new PgError('protocol_violation', message);
  }
  if (parameters.length !== expected) {
    const message = `bind message supplies ${parameters.length} parameters, but prepared statement "${statement}" requires ${expected}`;
    throw new PgError('protocol_violation', message);
  }
  return parameters.map((value) => {
    if (value === null) return null;
    requireValid(value, encoding);
    return decodeText(value, encoding);
  });
}

function resultFormats({ resultFormats: formats }: Bind, columns: readonly Column[]): Format[] {
  // As in Postgres, of what returns no rows they are not even looked at.
  if (columns.length === 0) return [];
  if (formats.length > 1 && formats.length !== columns.length) {
    const message = `bind message has ${formats.length} result formats but query has ${columns.length} columns`;
    throw new PgError('protocol_violation', message);
  }
  const invalid = formats.find((format) => format !== 0 && format !== 1);
  if (invalid !== undefined) throw new PgError('invalid_parameter_value', `unsupported format code: ${invalid}`);
  return formatsOf(columns, formats as Format[]);
}
