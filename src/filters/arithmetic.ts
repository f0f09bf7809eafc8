import type { ArithmeticOperator, ValueKind } from '../model/predicate.ts';
import { absDecimal, addDecimals, type Decimal, divideDecimals, multiplyDecimals, negateDecimal } from './decimal.ts';
import { remainderOfDecimals, subtractDecimals } from './decimal.ts';
import { divisionByZero, EvaluationError } from './evaluation-error.ts';
import { checkInteger, type Scalar } from './values.ts';

type Binary<T> = (a: T, b: T) => T;

const DECIMAL: Readonly<Record<ArithmeticOperator, Binary<Decimal>>> = {
  '+': addDecimals,
  '-': subtractDecimals,
  '*': multiplyDecimals,
  '/': divideDecimals,
  '%': remainderOfDecimals,
};

const BIGINT: Readonly<Record<ArithmeticOperator, Binary<bigint>>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => {
    if (b === 0n) throw divisionByZero();
    return a / b;
  },
  '%': (a, b) => {
    if (b === 0n) throw divisionByZero();
    return a % b;
  },
};

/** Products of two int4 may be beyond what a number holds exactly: those are far out of range, and told so. */
const SMALL: Readonly<Record<ArithmeticOperator, Binary<number>>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => {
    if (b === 0) throw divisionByZero();
    return Math.trunc(a / b);
  },
  '%': (a, b) => {
    if (b === 0) throw divisionByZero();
    return a % b;
  },
};

function smallInteger(operator: ArithmeticOperator, kind: 'int2' | 'int4'): Binary<number> {
  const compute = SMALL[operator];
  const limit = kind === 'int2' ? 2 ** 15 : 2 ** 31;
  return (a, b) => {
    const result = compute(a, b);
    if (result >= limit || result < -limit) checkInteger(BigInt(result), kind);
    // No integer is -0.
    return result + 0;
  };
}

function floatError(what: 'overflow' | 'underflow'): EvaluationError {
  return new EvaluationError('numeric_value_out_of_range', `value out of range: ${what}`);
}

/** `src/include/utils/float.h`: a result that becomes infinite or 0 on its way is an error. */
function float(operator: ArithmeticOperator, round: (value: number) => number): Binary<number> {
  const overflows = (result: number, a: number, b: number): boolean =>
    (result === Infinity || result === -Infinity) && Number.isFinite(a) && Number.isFinite(b);
  return (a, b) => {
    let result: number;
    if (operator === '+') result = round(a + b);
    else if (operator === '-') result = round(a - b);
    else if (operator === '*') {
      result = round(a * b);
      if (result === 0 && a !== 0 && b !== 0) throw floatError('underflow');
    } else {
      if (b === 0 && !Number.isNaN(a)) throw divisionByZero();
      result = round(a / b);
      if (result === 0 && a !== 0 && Number.isFinite(b)) throw floatError('underflow');
    }
    if (overflows(result, a, b)) throw floatError('overflow');
    return result;
  };
}

/** The operator on two values of `kind`, which is a kind of number; floats have no `%`. */
export function arithmeticOf(operator: ArithmeticOperator, kind: ValueKind): (a: Scalar, b: Scalar) => Scalar {
  return pickArithmetic(operator, kind) as (a: Scalar, b: Scalar) => Scalar;
}

function pickArithmetic(operator: ArithmeticOperator, kind: ValueKind): unknown {
  if (kind === 'int2' || kind === 'int4') return smallInteger(operator, kind);
  if (kind === 'int8') return (a: bigint, b: bigint) => checkInteger(BIGINT[operator](a, b), 'int8');
  if (kind === 'float4') return float(operator, Math.fround);
  if (kind === 'float8') return float(operator, (value) => value);
  return DECIMAL[operator];
}

export function negationOf(kind: ValueKind): (a: Scalar) => Scalar {
  if (kind === 'numeric') return negateDecimal as (a: Scalar) => Scalar;
  if (kind === 'float4' || kind === 'float8') return (a) => -(a as number);
  const subtract = arithmeticOf('-', kind);
  const zero = kind === 'int8' ? 0n : 0;
  return (a) => subtract(zero, a);
}

export function absoluteOf(kind: ValueKind): (a: Scalar) => Scalar {
  if (kind === 'numeric') return absDecimal as (a: Scalar) => Scalar;
  if (kind === 'float4' || kind === 'float8') return (a) => Math.abs(a as number);
  const negate = negationOf(kind);
  return (a) => ((a as number | bigint) < 0 ? negate(a) : a);
}
