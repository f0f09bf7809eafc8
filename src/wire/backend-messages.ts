import { PgError } from '../postgres/sqlstate.ts';
import { BACKEND } from './message-type.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/*
  What a server sends, as far as walhook reads or writes it. `decode…` take a whole message with its header and raise
  08P01 for a body that is not laid out so.
  https://www.postgresql.org/docs/current/protocol-message-formats.html
*/

const HEADER_BYTES = 5;

function body(message: Buffer): Reader {
  return new Reader(message, HEADER_BYTES);
}

/** 0 text, 1 binary. */
export type Format = 0 | 1;

export interface Field {
  readonly name: string;
  readonly typeOid: number;
  /** The type's size in bytes; -1 where it varies. */
  readonly typeBytes: number;
  readonly format: Format;
}

/**
 * RowDescription: Int16 n; for each column String name, Int32 table OID, Int16 column number, Int32 type OID, Int16 type
 * size, Int32 type modifier, Int16 format.
 */
export function writeRowDescription(writer: Writer, fields: readonly Field[]): void {
  writer.begin(BACKEND.rowDescription).int16(fields.length);
  for (const { name, typeOid, typeBytes, format } of fields) {
    writer.cstring(name).int32(0).int16(0).uint32(typeOid).int16(typeBytes).int32(-1).int16(format);
  }
  writer.end();
}

/** DataRow: Int16 n; for each column Int32 length or -1 for null, Byte n value. */
export function writeDataRow(writer: Writer, values: ReadonlyArray<Uint8Array | null>): void {
  writer.begin(BACKEND.dataRow).int16(values.length);
  for (const value of values) {
    writer.int32(value === null ? -1 : value.length);
    if (value !== null) writer.bytes(value);
  }
  writer.end();
}

/** Views of the message; null is SQL's null. */
export function decodeDataRow(message: Buffer): Array<Buffer | null> {
  const reader = body(message);
  const values = Array.from({ length: reader.int16() }, () => {
    const length = reader.int32();
    return length === -1 ? null : reader.bytes(length);
  });
  reader.finish();
  return values;
}

/** CommandComplete: String tag. */
export function writeCommandComplete(writer: Writer, tag: string): void {
  writer.begin(BACKEND.commandComplete).cstring(tag).end();
}

export function decodeCommandComplete(message: Buffer): string {
  return body(message).name();
}

/** ParameterDescription: Int16 n, n × Int32 type OID. */
export function writeParameterDescription(writer: Writer, oids: readonly number[]): void {
  writer.begin(BACKEND.parameterDescription).uint16(oids.length);
  for (const oid of oids) writer.uint32(oid);
  writer.end();
}

/** ReadyForQuery: Byte1 status (`STATUS`). */
export function writeReadyForQuery(writer: Writer, status: number): void {
  writer.begin(BACKEND.readyForQuery).uint8(status).end();
}

/** The message stands between `start` and `end`. Allocates nothing: every transaction has one. */
export function decodeReadyForQuery(bytes: Buffer, start: number, end: number): number {
  const at = start + HEADER_BYTES;
  if (at >= end) throw new PgError('protocol_violation', 'insufficient data left in message');
  return bytes[at]!;
}

/** ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended, EmptyQueryResponse: a header and nothing else. */
export function writeBare(writer: Writer, type: number): void {
  writer.begin(type).end();
}

/** ParameterStatus: String name, String value. */
export function decodeParameterStatus(message: Buffer): { readonly name: string; readonly value: string } {
  const reader = body(message);
  return { name: reader.name(), value: reader.name() };
}

/** BackendKeyData: Int32 process id, Byte n secret (4 bytes in 3.0, up to 256 in 3.2). Both together: a cancel key. */
export function decodeBackendKey(message: Buffer): Buffer {
  return Buffer.from(message.subarray(HEADER_BYTES));
}

/** Authentication…: Int32 method first; 0 is AuthenticationOk. */
export function decodeAuthentication(message: Buffer): number {
  return body(message).int32();
}

/** A report's fields by their letters, byte for byte in the client's encoding. */
export type ReportFields = ReadonlyMap<string, Buffer>;

/**
 * ErrorResponse and NoticeResponse: Byte1 field letter, String value, again and again; Byte1 0.
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
export function writeReport(writer: Writer, type: number, fields: ReadonlyMap<string, Uint8Array>): void {
  writer.begin(type);
  for (const [letter, value] of fields) writer.uint8(letter.charCodeAt(0)).cstringBytes(value);
  writer.uint8(0).end();
}

/** Copies, in the order sent. */
export function decodeReport(message: Buffer): ReportFields {
  const reader = body(message);
  const fields = new Map<string, Buffer>();
  for (;;) {
    const letter = reader.uint8();
    if (letter === 0) return fields;
    fields.set(String.fromCharCode(letter), Buffer.from(reader.cstringBytes()));
  }
}
