/**
 * The type bytes of protocol 3.x. The same letter means different messages in the two directions.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

const letter = (character: string): number => character.charCodeAt(0);

/** What a client sends. The startup packet and its kin have no type byte. */
export const FRONTEND = {
  bind: letter('B'),
  close: letter('C'),
  copyData: letter('d'),
  copyDone: letter('c'),
  copyFail: letter('f'),
  describe: letter('D'),
  execute: letter('E'),
  flush: letter('H'),
  functionCall: letter('F'),
  parse: letter('P'),
  /** PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse. */
  password: letter('p'),
  query: letter('Q'),
  sync: letter('S'),
  terminate: letter('X'),
} as const;

/** What a server sends. */
export const BACKEND = {
  authentication: letter('R'),
  backendKeyData: letter('K'),
  bindComplete: letter('2'),
  closeComplete: letter('3'),
  commandComplete: letter('C'),
  copyBothResponse: letter('W'),
  copyData: letter('d'),
  copyDone: letter('c'),
  copyInResponse: letter('G'),
  copyOutResponse: letter('H'),
  dataRow: letter('D'),
  emptyQueryResponse: letter('I'),
  errorResponse: letter('E'),
  functionCallResponse: letter('V'),
  negotiateProtocolVersion: letter('v'),
  noData: letter('n'),
  noticeResponse: letter('N'),
  notificationResponse: letter('A'),
  parameterDescription: letter('t'),
  parameterStatus: letter('S'),
  parseComplete: letter('1'),
  portalSuspended: letter('s'),
  readyForQuery: letter('Z'),
  rowDescription: letter('T'),
} as const;

/** ReadyForQuery's status byte. */
export const STATUS = {
  idle: letter('I'),
  inBlock: letter('T'),
  failed: letter('E'),
} as const;
