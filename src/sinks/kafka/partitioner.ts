import { crc32 } from 'node:zlib';

export type PartitionerName = 'murmur2' | 'crc32' | 'round_robin';

/** Which of `count` partitions the bytes belong to, which other clients of Kafka choose alike. */
export function partitionOf(
  partitioner: Exclude<PartitionerName, 'round_robin'>,
  bytes: Buffer,
  count: number,
): number {
  return partitioner === 'crc32' ? crc32(bytes) % count : (murmur2(bytes) & 0x7fffffff) % count;
}

/**
 * The hash by which Kafka's own client chooses among a topic's partitions.
 * https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/utils/Utils.java
 */
export function murmur2(bytes: Buffer): number {
  const { length } = bytes;
  let hash = 0x9747b28c ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let word = bytes.readInt32LE(at);
    word = Math.imul(word, M);
    word ^= word >>> 24;
    word = Math.imul(word, M);
    hash = Math.imul(hash, M) ^ word;
  }
  const rest = length - at;
  if (rest === 3) hash ^= bytes[at + 2]! << 16;
  if (rest >= 2) hash ^= bytes[at + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

const M = 0x5bd1e995;
