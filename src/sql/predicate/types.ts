import { TYPE_NAME } from '../../filters/values.ts';
import type { ValueKind, ValueType } from '../../model/predicate.ts';
import { ELEMENT_OID, OID } from '../../postgres/oid.ts';

/** A type as SQL knows it: beside the kinds of values there is varchar, which computes as text. */
export type TypeName = ValueKind | 'varchar';

export interface SqlType {
  readonly name: TypeName;
  readonly array: boolean;
  /** Of an enum; so that two enums are two types. */
  readonly oid?: number;
  readonly labels?: readonly string[];
  /** Of a column whose type is a domain over this one: an array of such values is of a type of its own. */
  readonly domain?: true;
}

const BPCHAR_OID = 1042;

const SCALAR_TYPE: ReadonlyMap<number, TypeName> = new Map<number, TypeName>([
  [OID.bool, 'bool'],
  [OID.int2, 'int2'],
  [OID.int4, 'int4'],
  [OID.int8, 'int8'],
  [OID.numeric, 'numeric'],
  [OID.float4, 'float4'],
  [OID.float8, 'float8'],
  [OID.text, 'text'],
  [OID.varchar, 'varchar'],
  [BPCHAR_OID, 'bpchar'],
  [OID.uuid, 'uuid'],
  [OID.date, 'date'],
  [OID.time, 'time'],
  [OID.timestamp, 'timestamp'],
  [OID.timestamptz, 'timestamptz'],
  [OID.bytea, 'bytea'],
  [OID.json, 'json'],
  [OID.jsonb, 'jsonb'],
]);

export const BOOL: SqlType = { name: 'bool', array: false };
export const TEXT: SqlType = { name: 'text', array: false };
export const INT4: SqlType = { name: 'int4', array: false };

export function scalar(name: TypeName): SqlType {
  return { name, array: false };
}

/** The type of a column; null for one that predicates cannot compute with. */
export function typeOfOid(oid: number, labels: readonly string[] | undefined): SqlType | null {
  if (labels !== undefined) return { name: 'enum', array: false, oid, labels };
  const name = SCALAR_TYPE.get(oid);
  if (name !== undefined) return scalar(name);
  const element = SCALAR_TYPE.get(ELEMENT_OID.get(oid) ?? 0);
  return element === undefined ? null : { name: element, array: true };
}

/** Types by the names that SQL has for them; the parser has already turned `integer` and the like into these. */
export function typeOfName(name: string): SqlType | null {
  const known: readonly TypeName[] = [...SCALAR_TYPE.values()];
  return (known as readonly string[]).includes(name) ? scalar(name as TypeName) : null;
}

export function valueType(type: SqlType): ValueType {
  const kind = type.name === 'varchar' ? 'text' : type.name;
  return type.labels === undefined ? { kind, array: type.array } : { kind, array: type.array, labels: type.labels };
}

/** For messages, as `format_type` has it. */
export function describe(type: SqlType | null): string {
  if (type === null) return 'unknown';
  const name = type.name === 'varchar' ? 'character varying' : TYPE_NAME[type.name];
  return type.array ? `${name}[]` : name;
}

export function sameType(a: SqlType, b: SqlType): boolean {
  return a.name === b.name && a.array === b.array && a.oid === b.oid;
}

export function elementOf(type: SqlType): SqlType {
  return { ...type, array: false };
}

const NUMBERS: readonly TypeName[] = ['int2', 'int4', 'int8', 'numeric', 'float4', 'float8'];
const INTEGERS: readonly TypeName[] = ['int2', 'int4', 'int8'];

export function isNumber(type: SqlType): boolean {
  return !type.array && NUMBERS.includes(type.name);
}

export function isInteger(type: SqlType): boolean {
  return !type.array && INTEGERS.includes(type.name);
}

export function isFloat(type: SqlType): boolean {
  return !type.array && (type.name === 'float4' || type.name === 'float8');
}

export function isText(type: SqlType): boolean {
  return !type.array && (type.name === 'text' || type.name === 'varchar' || type.name === 'bpchar');
}

/** Whether values of the type, or its items, have a collation. */
export function isCollatable(type: SqlType): boolean {
  return isText(elementOf(type));
}

/** The type in which two numbers are computed and compared. */
export function commonNumber(a: SqlType, b: SqlType): SqlType {
  if (isFloat(a) || isFloat(b)) return a.name === 'float4' && b.name === 'float4' ? a : scalar('float8');
  return NUMBERS.indexOf(a.name) >= NUMBERS.indexOf(b.name) ? a : b;
}

/** `pg_type.typcategory`, roughly. */
function category(type: SqlType): string {
  if (type.array) return 'array';
  if (isNumber(type)) return 'number';
  if (isText(type)) return 'text';
  if (type.name === 'date' || type.name === 'timestamp' || type.name === 'timestamptz') return 'date';
  // A time is of the same category, but has no casts within it.
  return type.name === 'time' ? 'date' : type.name;
}

const DATE_RANK: readonly TypeName[] = ['date', 'timestamp', 'timestamptz'];

/** Whether Postgres casts by itself wherever `to` is wanted. */
export function isImplicit(from: SqlType, to: SqlType): boolean {
  if (sameType(from, to)) return true;
  if (from.array || to.array) return false;
  if (isNumber(from) && isNumber(to)) return NUMBERS.indexOf(from.name) < NUMBERS.indexOf(to.name);
  if (isText(from) && isText(to)) return true;
  const [first, last] = [DATE_RANK.indexOf(from.name), DATE_RANK.indexOf(to.name)];
  return first >= 0 && last >= 0 && first < last;
}

const PREFERRED: readonly TypeName[] = ['bool', 'float8', 'text', 'timestamptz'];

/**
 * The type that several values share (`select_common_type`): of COALESCE, ARRAY and IN. Null where there is none; text
 * where all are literals without a type.
 */
export function commonType(types: readonly (SqlType | null)[]): SqlType | null {
  let common: SqlType | null = null;
  for (const type of types) {
    if (type === null) continue;
    if (common === null) {
      common = type;
      continue;
    }
    if (sameType(common, type)) continue;
    if (category(common) !== category(type)) return null;
    if (PREFERRED.includes(common.name) && !common.array) continue;
    if (isImplicit(common, type) && !isImplicit(type, common)) common = type;
  }
  const shared = common ?? TEXT;
  return types.every((type) => type === null || isImplicit(type, shared)) ? shared : null;
}
