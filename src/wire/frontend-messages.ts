import { PgError } from '../postgres/sqlstate.ts';
import { FRONTEND } from './message-type.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/*
  What a client sends, as far as walhook reads or writes it. `decode…` take a whole message with its header and raise
  08P01 for a body that is not laid out so. Names are byte for byte as Latin-1 (`Reader.name`).
  The manual's counts are Int16; the server reads and writes them without a sign, up to 65,535 parameters.
  https://www.postgresql.org/docs/current/protocol-message-formats.html
*/

const HEADER_BYTES = 5;

function body(message: Buffer): Reader {
  return new Reader(message, HEADER_BYTES);
}

/** Query: String text. The text's bytes, in the client's encoding. */
export function decodeQuery(message: Buffer): Buffer {
  const reader = body(message);
  const text = reader.cstringBytes();
  reader.finish();
  return text;
}

/**
 * The text of a Query or a Parse as far as a zero byte or the message's end: what there is to read even where the message is
 * not laid out as it has to be.
 */
export function decodeTextLeniently(message: Buffer): Buffer {
  const end = (from: number): number => {
    const zero = message.indexOf(0, from);
    return zero === -1 ? message.length : zero;
  };
  const start = message[0] === FRONTEND.parse ? Math.min(message.length, end(HEADER_BYTES) + 1) : HEADER_BYTES;
  return message.subarray(start, end(start));
}

export interface Parse {
  readonly name: string;
  /** In the client's encoding. */
  readonly text: Buffer;
  /** As far as the client gives them; 0 leaves one to the server. */
  readonly parameterTypes: readonly number[];
}

/** Parse: String name, String text, Int16 n, n × Int32 type OID. */
export function decodeParse(message: Buffer): Parse {
  const reader = body(message);
  const name = reader.name();
  const text = reader.cstringBytes();
  const parameterTypes = Array.from({ length: reader.uint16() }, () => reader.uint32());
  reader.finish();
  return { name, text, parameterTypes };
}

export interface Bind {
  readonly portal: string;
  readonly statement: string;
  /** None: all text. One: for all. Otherwise one for each. */
  readonly parameterFormats: readonly number[];
  /** Null is SQL's null. Views of the message. */
  readonly parameters: ReadonlyArray<Buffer | null>;
  readonly resultFormats: readonly number[];
}

/**
 * Bind: String portal, String statement, Int16 n, n × Int16 format, Int16 n, n × (Int32 length or -1, Byte n value),
 * Int16 n, n × Int16 result format.
 */
export function decodeBind(message: Buffer): Bind {
  const reader = body(message);
  const portal = reader.name();
  const statement = reader.name();
  const parameterFormats = formats(reader);
  const parameters = Array.from({ length: reader.uint16() }, () => {
    const length = reader.int32();
    return length === -1 ? null : reader.bytes(length);
  });
  const resultFormats = formats(reader);
  reader.finish();
  return { portal, statement, parameterFormats, parameters, resultFormats };
}

/** The two names at the head of a Bind: all there is to know while only a part of it is there. */
export function decodeBindNames(message: Buffer): { readonly portal: string; readonly statement: string } {
  const reader = body(message);
  return { portal: reader.name(), statement: reader.name() };
}

/** The name at the head of a Parse. */
export function decodeParseName(message: Buffer): string {
  return body(message).name();
}

/** What Describe and Close are about. */
export interface Target {
  readonly kind: 'statement' | 'portal';
  readonly name: string;
}

/** Describe and Close: Byte1 'S' or 'P', String name. */
export function decodeTarget(message: Buffer): Target {
  const reader = body(message);
  const letter = String.fromCharCode(reader.uint8());
  const name = reader.name();
  reader.finish();
  if (letter === 'S') return { kind: 'statement', name };
  if (letter === 'P') return { kind: 'portal', name };
  throw new PgError('protocol_violation', `invalid message subtype "${letter}"`);
}

export interface Execute {
  readonly portal: string;
  /** 0: all. */
  readonly maxRows: number;
}

/** Execute: String portal, Int32 most rows. */
export function decodeExecute(message: Buffer): Execute {
  const reader = body(message);
  const portal = reader.name();
  const maxRows = reader.int32();
  reader.finish();
  // Postgres takes a negative number for no limit.
  return { portal, maxRows: Math.max(0, maxRows) };
}

function formats(reader: Reader): number[] {
  return Array.from({ length: reader.uint16() }, () => reader.int16());
}

export function writeQuery(writer: Writer, text: Uint8Array): void {
  writer.begin(FRONTEND.query).cstringBytes(text).end();
}

export function writeParse(writer: Writer, { name, text, parameterTypes }: Parse): void {
  writer.begin(FRONTEND.parse).name(name).cstringBytes(text).uint16(parameterTypes.length);
  for (const oid of parameterTypes) writer.uint32(oid);
  writer.end();
}

export function writeBind(writer: Writer, bind: Bind): void {
  writer.begin(FRONTEND.bind).name(bind.portal).name(bind.statement).uint16(bind.parameterFormats.length);
  for (const format of bind.parameterFormats) writer.int16(format);
  writer.uint16(bind.parameters.length);
  for (const value of bind.parameters) {
    writer.int32(value === null ? -1 : value.length);
    if (value !== null) writer.bytes(value);
  }
  writer.uint16(bind.resultFormats.length);
  for (const format of bind.resultFormats) writer.int16(format);
  writer.end();
}

export function writeDescribe(writer: Writer, target: Target): void {
  writeTarget(writer, FRONTEND.describe, target);
}

export function writeClose(writer: Writer, target: Target): void {
  writeTarget(writer, FRONTEND.close, target);
}

function writeTarget(writer: Writer, type: number, { kind, name }: Target): void {
  writer
    .begin(type)
    .uint8((kind === 'statement' ? 'S' : 'P').charCodeAt(0))
    .name(name)
    .end();
}

export function writeExecute(writer: Writer, { portal, maxRows }: Execute): void {
  writer.begin(FRONTEND.execute).name(portal).int32(maxRows).end();
}

/** Flush, Sync, Terminate, CopyDone: a header and nothing else. */
export function writeEmpty(writer: Writer, type: number): void {
  writer.begin(type).end();
}

/** CopyFail: String reason. */
export function writeCopyFail(writer: Writer, reason: string): void {
  writer.begin(FRONTEND.copyFail).cstring(reason).end();
}
