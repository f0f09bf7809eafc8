/** Of a key of AES-256. */
export const KEY_BYTES = 32;

const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** 32 bytes from their base64. Throws an `Error` that says what would be valid, and nothing of what was given. */
export function parseKeyText(text: string): Buffer {
  const key = BASE64.test(text.trim()) ? Buffer.from(text.trim(), 'base64') : null;
  if (key?.length === KEY_BYTES) return key;
  throw new Error('it is no base64 of 32 bytes; make one with: openssl rand -base64 32');
}
