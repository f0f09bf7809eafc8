import type { SQLSTATE } from '../postgres/sqlstate.ts';

/** What Postgres raises while it computes: thrown inside `filters`, a value outside of it. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
  readonly condition: keyof typeof SQLSTATE;

  constructor(condition: keyof typeof SQLSTATE, message: string) {
    super(message);
    this.condition = condition;
  }
}

export function outOfRange(type: string): EvaluationError {
  return new EvaluationError('numeric_value_out_of_range', `${type} out of range`);
}

/** `text` is no value of `type`. The value itself is not repeated: it may be a customer's. */
export function invalidSyntax(type: string): EvaluationError {
  return new EvaluationError('invalid_text_representation', `invalid input syntax for type ${type}`);
}

export function divisionByZero(): EvaluationError {
  return new EvaluationError('division_by_zero', 'division by zero');
}
