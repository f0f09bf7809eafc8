import { FRAME, type Relation } from '../postgres/pgoutput.ts';
import type { ByteWriter } from './byte-writer.ts';
import { ChangeIds, writeLastId } from './change-ids.ts';
import { ChangeRows } from './change-rows.ts';
import type { EncodableChange } from './change.ts';
import type { EventEncoder } from './encoder.ts';
import type { EventIds } from './event-id.ts';
import { jsonStringBytes } from './json-text.ts';
import { NativeBody, type NativeOptions, writeLsn } from './native.ts';
import { operationOf } from './operation.ts';

/*
  The CLOUDEVENTS envelope: CloudEvents 1.0 in structured mode.
  https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
  https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

    specversion      "1.0"
    id               the event id (event-id.ts)
    source           urn:walhook:<database>:<stream>, percent-encoded
    type             cdc.insert, cdc.update, cdc.delete, cdc.truncate, cdc.read
    subject          <schema>.<table>
    time             commit time
    datacontenttype  "application/json"
    sequence         places a stream's events in their order as strings compare: the commit LSN as 16 hexadecimal digits, a
                     hyphen, and the change's place in its transaction as 10 digits
                     https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md
    cdclsn           the change's own LSN: a string, as CloudEvents' integers have 32 bits
    cdcxid           the transaction: a string, for the same reason
    data             what the NATIVE envelope has from `op` to `before_complete`

  With `include_transaction = false` `time`, `sequence`, `cdclsn` and `cdcxid` are left out. An attribute's text may hold no
  control characters: where a name does, they are percent-encoded.
*/

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

const EVENT = ascii('{"specversion":"1.0","id":"');
const TIME = ascii('"time":"');
const SEQUENCE = ascii('","sequence":"');
const LSN = ascii('","cdclsn":"');
const XID = ascii('","cdcxid":"');
const END_OF_XID = ascii('",');
const DATA = ascii('"datacontenttype":"application/json","data":{');
const END = ascii('}}');

/** Media types of one event and of several: JSON format, and its batches. */
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json';
export const CLOUD_EVENT_BATCH_TYPE = 'application/cloudevents-batch+json';

export interface CloudEventOptions extends NativeOptions {
  readonly database: string;
}

/** Writes the changes of one relation definition as CloudEvents of one stream. */
export class CloudEventEncoder implements EventEncoder {
  readonly #ids: ChangeIds;
  readonly #body: NativeBody;
  readonly #heads: Readonly<Record<ReturnType<typeof operationOf>, Buffer>>;
  readonly #includeTransaction: boolean;

  constructor(
    ids: EventIds,
    relation: Relation,
    stream: string,
    primaryKey: readonly string[],
    sent: readonly string[] | null,
    { database, numbers, includeTransaction }: CloudEventOptions,
  ) {
    const rows = new ChangeRows(relation, primaryKey, sent);
    this.#ids = new ChangeIds(ids, relation, rows);
    this.#body = new NativeBody(relation, rows, numbers);
    this.#includeTransaction = includeTransaction;
    const source = `urn:walhook:${uriPart(database)}:${uriPart(stream)}`;
    const subject = attribute(`${relation.schema}.${relation.name}`);
    const head = (operation: string): Buffer =>
      Buffer.concat([
        ascii(`","source":"${source}","type":"cdc.${operation}","subject":`),
        jsonStringBytes(subject),
        ascii(','),
      ]);
    this.#heads = {
      read: head('read'),
      insert: head('insert'),
      update: head('update'),
      delete: head('delete'),
      truncate: head('truncate'),
    };
  }

  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number {
    this.#writeHead(out, change, ids);
    this.#body.write(out, change);
    out.raw(END);
    return 1;
  }

  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number {
    this.#writeHead(out, change, ids);
    this.#body.writeThin(out, change, fullBytes);
    out.raw(END);
    return 1;
  }

  encodeKey(out: ByteWriter, change: EncodableChange): void {
    this.#body.writeKey(out, change);
  }

  #writeHead(out: ByteWriter, change: EncodableChange, ids: ByteWriter): void {
    this.#ids.append(ids, change);
    out.raw(EVENT);
    writeLastId(out, ids);
    out.raw(this.#heads[operationOf(change)]);
    if (this.#includeTransaction) writeTransaction(out, change);
    out.raw(DATA);
  }
}

function writeTransaction(out: ByteWriter, { data, offset, transaction, seq }: EncodableChange): void {
  out.raw(TIME);
  out.raw(transaction.commitText);
  out.raw(SEQUENCE);
  out.raw(transaction.commitHex);
  out.byte(0x2d);
  out.unsigned(seq, 10);
  out.raw(LSN);
  writeLsn(out, data, offset + FRAME.startLsn);
  out.raw(XID);
  out.unsigned(transaction.xid);
  out.raw(END_OF_XID);
}

/** What an attribute may not hold, lone surrogates aside: control characters, and code points that are no characters. */
const FORBIDDEN = /[\p{Cc}\p{Noncharacter_Code_Point}]/gu;

function attribute(text: string): string {
  return text.toWellFormed().replaceAll(FORBIDDEN, (character) => encodeURIComponent(character));
}

function uriPart(name: string): string {
  return encodeURIComponent(name.toWellFormed());
}
