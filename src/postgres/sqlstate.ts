/**
 * The error codes that walhook itself raises, by their official names.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 * Never class 08 or 57P01–57P03 for an error of a statement: connection pools evict the connection on those.
 */
export const SQLSTATE = {
  successful_completion: '00000',
  warning: '01000',
  connection_failure: '08006',
  protocol_violation: '08P01',
  feature_not_supported: '0A000',
  string_data_right_truncation: '22001',
  numeric_value_out_of_range: '22003',
  invalid_datetime_format: '22007',
  datetime_field_overflow: '22008',
  division_by_zero: '22012',
  invalid_escape_character: '22019',
  character_not_in_repertoire: '22021',
  invalid_parameter_value: '22023',
  invalid_escape_sequence: '22025',
  array_subscript_error: '2202E',
  invalid_text_representation: '22P02',
  untranslatable_character: '22P05',
  nonstandard_use_of_escape_character: '22P06',
  active_sql_transaction: '25001',
  read_only_sql_transaction: '25006',
  in_failed_sql_transaction: '25P02',
  invalid_sql_statement_name: '26000',
  invalid_authorization_specification: '28000',
  invalid_password: '28P01',
  dependent_objects_still_exist: '2BP01',
  invalid_cursor_name: '34000',
  invalid_catalog_name: '3D000',
  invalid_schema_name: '3F000',
  insufficient_privilege: '42501',
  syntax_error: '42601',
  name_too_long: '42622',
  ambiguous_function: '42725',
  datatype_mismatch: '42804',
  cannot_coerce: '42846',
  collation_mismatch: '42P21',
  indeterminate_collation: '42P22',
  duplicate_column: '42701',
  undefined_object: '42704',
  duplicate_object: '42710',
  undefined_column: '42703',
  undefined_table: '42P01',
  undefined_function: '42883',
  wrong_object_type: '42809',
  invalid_object_definition: '42P17',
  duplicate_cursor: '42P03',
  duplicate_prepared_statement: '42P05',
  undefined_parameter: '42P02',
  indeterminate_datatype: '42P18',
  too_many_connections: '53300',
  configuration_limit_exceeded: '53400',
  program_limit_exceeded: '54000',
  statement_too_complex: '54001',
  object_not_in_prerequisite_state: '55000',
  object_in_use: '55006',
  query_canceled: '57014',
  admin_shutdown: '57P01',
  cannot_connect_now: '57P03',
  idle_session_timeout: '57P05',
  io_error: '58030',
  fdw_error: 'HV000',
  fdw_unable_to_establish_connection: 'HV00N',
  internal_error: 'XX000',
} as const;

/** A condition's name, as Postgres's own list has it. */
export type Condition = keyof typeof SQLSTATE;
export type Sqlstate = (typeof SQLSTATE)[Condition];
export type Severity = 'ERROR' | 'FATAL' | 'WARNING' | 'NOTICE';

export interface PgErrorFields {
  readonly severity?: Severity;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** In characters (not UTF-16 units, not bytes) of the statement's text, from 1. */
  readonly position?: number | undefined;
  readonly cause?: unknown;
}

/** An error that a SQL client is meant to see. Anything else that is thrown reaches it as XX000. */
export class PgError extends Error {
  override readonly name = 'PgError';
  readonly code: Sqlstate;
  readonly severity: Severity;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly position: number | undefined;

  constructor(condition: Condition, message: string, fields: PgErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = SQLSTATE[condition];
    this.severity = fields.severity ?? 'ERROR';
    this.detail = fields.detail;
    this.hint = fields.hint;
    this.position = fields.position;
  }

  /** The same error without its place: what is wrong does not stand in the statement. */
  unplaced(detail: string): PgError {
    const { severity, hint, cause } = this;
    const shown = this.detail === undefined ? detail : `${this.detail} ${detail}`;
    return new PgError(CONDITIONS.get(this.code)!, this.message, { severity, detail: shown, hint, cause });
  }
}

const CONDITIONS: ReadonlyMap<Sqlstate, Condition> = new Map(
  Object.entries(SQLSTATE).map(([condition, code]) => [code, condition as Condition]),
);

/** What a statement tells beside its result: a NOTICE or a WARNING. */
export interface PgNotice {
  readonly severity: 'NOTICE' | 'WARNING';
  readonly code: Sqlstate;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}
