/*
  Which request headers somebody may set. https://www.rfc-editor.org/rfc/rfc9110.html#name-tokens
*/

/** The characters of a name. */
export const HEADER_NAME_CHARACTER = "[!#$%&'*+.^_`|~0-9A-Za-z-]";

const HEADER_NAME = new RegExp(`^${HEADER_NAME_CHARACTER}+$`);

/** What is sent as it is in every implementation: no control characters, and nothing beyond ASCII. */
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;

/** Those that belong to the connection (RFC 9110, 7.6.1), to the body, or to delivery. */
const RESERVED =
  'host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-.*|webhook-.*|x-cdc-.*';

const RESERVED_HEADER = new RegExp(`^(?:${RESERVED})$`, 'i');

export function isHeaderName(name: string): boolean {
  return HEADER_NAME.test(name);
}

export function isHeaderValue(value: string): boolean {
  return HEADER_VALUE.test(value);
}

/** Whether only delivery itself may set the header. */
export function isReservedHeader(name: string): boolean {
  return RESERVED_HEADER.test(name);
}

/** Names that the headers which delivery sets may be given: none that is reserved, and none that carries credentials. */
export function settableName(minimum: 0 | 1): RegExp {
  return new RegExp(
    `^(?!(?:${RESERVED}|authorization|cookie|user-agent)$)${HEADER_NAME_CHARACTER}{${minimum},100}$`,
    'i',
  );
}
