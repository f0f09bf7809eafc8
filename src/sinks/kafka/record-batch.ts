import { KafkaWriter, varintBytes } from './bytes.ts';
import { CODEC, type CompressionName, compressRecords } from './compression.ts';
import { crc32c } from './crc32c.ts';
import type { ProducerIdentity } from './requests.ts';

/*
  RecordBatch (magic 2), as https://kafka.apache.org/documentation/#recordbatch has it:

    baseOffset: int64 = 0         batchLength: int32        partitionLeaderEpoch: int32 = −1
    magic: int8 = 2               crc: uint32 (CRC-32C of all that follows)
    attributes: int16             lastOffsetDelta: int32
    baseTimestamp: int64          maxTimestamp: int64
    producerId: int64             producerEpoch: int16      baseSequence: int32
    records: [Record]

  Record => length: varint  attributes: int8  timestampDelta: varlong  offsetDelta: varint
            keyLength: varint  key  valueLen: varint  value  [headers]
  Header => headerKeyLength: varint  headerKey  headerValueLength: varint  value
*/

const HEAD_BYTES = 61;
const LENGTH_AT = 8;
const CRC_AT = 17;
const CRC_FROM = 21;
const NULL = -1;
/** Of a varint. */
const MAX_LENGTH_BYTES = 5;

/** A record as it goes into a batch. */
export interface BatchRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** The headers as `writeHeaders` makes them. */
  readonly headers: Buffer;
}

/** The headers of a record, with their count in front. */
export function writeHeaders(headers: readonly (readonly [name: string, value: string])[]): Buffer {
  const writer = new KafkaWriter(128).varint(headers.length);
  for (const pair of headers) {
    for (const text of pair) {
      const bytes = Buffer.from(text, 'utf8');
      writer.varint(bytes.length).raw(bytes);
    }
  }
  return writer.finish();
}

/** How many bytes of a batch a record takes, before compression. */
export function recordBytes(record: BatchRecord): number {
  return bodyBytes(record, 0x7fffffff) + MAX_LENGTH_BYTES;
}

function bodyBytes({ key, value, headers }: BatchRecord, offset: number): number {
  const keyBytes = key === null ? 1 : varintBytes(key.length) + key.length;
  const valueBytes = value === null ? 1 : varintBytes(value.length) + value.length;
  // Attributes and a timestamp delta of 0 have a byte each.
  return 2 + varintBytes(offset) + keyBytes + valueBytes + headers.length;
}

/** Who produces, and the number of the batch's first record among those of its partition; null: nobody in particular. */
export type BatchIdentity = (ProducerIdentity & { readonly sequence: number }) | null;

/** All records have the one timestamp, in ms since 1970. */
export async function encodeBatch(
  records: readonly BatchRecord[],
  timestampMs: number,
  identity: BatchIdentity,
  compression: CompressionName,
): Promise<Buffer> {
  const size = records.reduce((sum, record, offset) => sum + bodyBytes(record, offset) + MAX_LENGTH_BYTES, 0);
  const isPlain = compression === 'none';
  const body = isPlain
    ? null
    : await compressRecords(compression, writeRecords(new KafkaWriter(size), records).finish());
  const writer = new KafkaWriter(HEAD_BYTES + (body === null ? size : body.length))
    .int64(0n)
    .int32(0)
    .int32(-1)
    .int8(2)
    .int32(0)
    .int16(CODEC[compression])
    .int32(records.length - 1)
    .int64(BigInt(timestampMs))
    .int64(BigInt(timestampMs))
    .int64(identity?.id ?? -1n)
    .int16(identity?.epoch ?? -1)
    .int32(identity?.sequence ?? -1)
    .int32(records.length);
  const batch = (body === null ? writeRecords(writer, records) : writer.raw(body)).finish();
  batch.writeInt32BE(batch.length - LENGTH_AT - 4, LENGTH_AT);
  batch.writeUInt32BE(crc32c(batch, CRC_FROM), CRC_AT);
  return batch;
}

function writeRecords(writer: KafkaWriter, records: readonly BatchRecord[]): KafkaWriter {
  for (const [offset, record] of records.entries()) {
    const { key, value, headers } = record;
    writer.varint(bodyBytes(record, offset)).int8(0).varint(0).varint(offset);
    for (const part of [key, value]) {
      if (part === null) writer.varint(NULL);
      else writer.varint(part.length).raw(part);
    }
    writer.raw(headers);
  }
  return writer;
}
