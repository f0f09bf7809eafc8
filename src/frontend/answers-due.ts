import { BACKEND, FRONTEND } from '../wire/message-type.ts';
import { AUTHENTICATION } from '../wire/sasl.ts';

/*
  Which messages end the answer to which:
    the startup packet           ReadyForQuery, once the client is authenticated
    Query, FunctionCall, Sync    ReadyForQuery
    Parse                        ParseComplete
    Bind                         BindComplete
    Close                        CloseComplete
    Describe                     RowDescription or NoData
    Execute                      CommandComplete, EmptyQueryResponse or PortalSuspended
  An ErrorResponse to one of the last five ends the answers up to the next Sync: the server skips what stands before it.
  While COPY FROM STDIN reads, the server takes no notice of Sync (and Flush) up to CopyDone or CopyFail.
  https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
*/

/** The most messages that may wait for their answers; a client that sends more is read on when some have come. */
export const MAX_ANSWERS_DUE = 65_536;

const INITIAL_CAPACITY = 64;

/**
 * What the upstream still owes the client for the messages that went to it, in order: one byte each. Knows, at any
 * time, whether an answer of our own would come out of turn.
 */
export class AnswersDue {
  #kinds = new Uint8Array(INITIAL_CAPACITY);
  #head = 0;
  #size = 0;
  #isStarted = false;
  #isSkipping = false;
  #isCopyIn = false;
  #isGroupOpen = false;
  #hasExecuted = false;
  /** Below 0: sent before they were asked for. */
  #passwordsAsked = 0;

  /** The upstream waits for an answer of the client's to get on with the authentication. */
  get isAwaitingPassword(): boolean {
    return this.#passwordsAsked > 0;
  }

  /** The upstream owes nothing. */
  get isSettled(): boolean {
    return this.#isStarted && this.#size === 0;
  }

  /** The startup packet has been answered: the client is authenticated. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  get isFull(): boolean {
    return this.#size >= MAX_ANSWERS_DUE;
  }

  /** The upstream skips all that is sent now, up to a Sync. */
  get isSkipping(): boolean {
    return this.#isSkipping;
  }

  /** The upstream reads COPY data: it would take no statement now. */
  get isCopyIn(): boolean {
    return this.#isCopyIn;
  }

  /** Extended messages have gone to the upstream since the last Sync or Query. */
  get isGroupOpen(): boolean {
    return this.#isGroupOpen;
  }

  /** … and an Execute was one of them. */
  get hasExecuted(): boolean {
    return this.#hasExecuted;
  }

  /** A message of the client's has gone to the upstream. */
  sent(type: number): void {
    switch (type) {
      case FRONTEND.sync:
        if (this.#isCopyIn) return;
        this.#isSkipping = false;
        this.endGroup();
        break;
      case FRONTEND.copyDone:
      case FRONTEND.copyFail:
        if (this.#isCopyIn) this.#isCopyIn = false;
        // Kept, in case the CopyInResponse that it answers is still to come.
        else if (this.#size > 0) this.#push(type);
        return;
      case FRONTEND.password:
        if (!this.#isStarted) this.#passwordsAsked--;
        return;
      case FRONTEND.query:
      case FRONTEND.functionCall:
        if (!this.#isSkipping) this.endGroup();
        break;
      default:
        this.#isGroupOpen = true;
        if (type === FRONTEND.execute) this.#hasExecuted = true;
    }
    if (!this.#isSkipping) this.#push(type);
  }

  /** A message other than ReadyForQuery has come from the upstream. */
  answered(type: number): void {
    if (type === BACKEND.copyInResponse) return this.#beginCopyIn();
    if (this.#size === 0) return;
    const kind = this.#kinds[this.#head]!;
    if (type === BACKEND.errorResponse) {
      this.#isCopyIn = false;
      if (isExtended(kind)) this.#skipToSync();
    } else if (ENDS[type] === kind) {
      this.#isCopyIn = false;
      this.#pop();
    }
  }

  /** The upstream has said what comes next in the authentication. */
  authentication(method: number): void {
    if (this.#isStarted || method === AUTHENTICATION.ok || method === AUTHENTICATION.saslFinal) return;
    this.#passwordsAsked++;
  }

  /** ReadyForQuery has come. */
  ready(): void {
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#passwordsAsked = 0;
      return;
    }
    this.#isCopyIn = false;
    while (this.#size > 0) {
      const kind = this.#kinds[this.#head]!;
      this.#pop();
      if (!isExtended(kind)) return;
    }
  }

  /** An error that we made the upstream raise: as when it answers with one to a message of the client's. */
  failed(): void {
    this.#skipToSync();
  }

  /** A Query that we sent has ended the group, as one of the client's would. */
  endGroup(): void {
    this.#isGroupOpen = false;
    this.#hasExecuted = false;
  }

  #beginCopyIn(): void {
    // Syncs sent before the end of the data are for nothing.
    let kept = 1;
    let isOver = false;
    for (let i = 1; i < this.#size; i++) {
      const kind = this.#at(i);
      if (kind === FRONTEND.copyDone || kind === FRONTEND.copyFail) isOver = true;
      if (kind === FRONTEND.sync && !isOver) continue;
      this.#kinds[(this.#head + kept++) & (this.#kinds.length - 1)] = kind;
    }
    this.#size = Math.min(this.#size, kept);
    this.#isCopyIn = !isOver;
  }

  #skipToSync(): void {
    while (this.#size > 0) {
      if (this.#kinds[this.#head] === FRONTEND.sync) return;
      this.#drop();
    }
    this.#isSkipping = true;
  }

  #at(index: number): number {
    return this.#kinds[(this.#head + index) & (this.#kinds.length - 1)]!;
  }

  #push(kind: number): void {
    if (this.#size === this.#kinds.length) this.#grow();
    this.#kinds[(this.#head + this.#size++) & (this.#kinds.length - 1)] = kind;
  }

  #drop(): void {
    this.#head = (this.#head + 1) & (this.#kinds.length - 1);
    this.#size--;
  }

  /** Drops the head, and the ends of COPY data behind it: nothing answers them. */
  #pop(): void {
    this.#drop();
    while (this.#size > 0 && isCopyEnd(this.#kinds[this.#head]!)) this.#drop();
  }

  #grow(): void {
    const larger = new Uint8Array(this.#kinds.length * 2);
    for (let i = 0; i < this.#size; i++) larger[i] = this.#at(i);
    this.#kinds = larger;
    this.#head = 0;
  }
}

function isExtended(kind: number): boolean {
  return kind !== FRONTEND.query && kind !== FRONTEND.sync && kind !== FRONTEND.functionCall;
}

function isCopyEnd(kind: number): boolean {
  return kind === FRONTEND.copyDone || kind === FRONTEND.copyFail;
}

/** The kind of message that an answer of this type ends. */
const ENDS = new Uint8Array(256);
ENDS[BACKEND.parseComplete] = FRONTEND.parse;
ENDS[BACKEND.bindComplete] = FRONTEND.bind;
ENDS[BACKEND.closeComplete] = FRONTEND.close;
ENDS[BACKEND.rowDescription] = FRONTEND.describe;
ENDS[BACKEND.noData] = FRONTEND.describe;
ENDS[BACKEND.commandComplete] = FRONTEND.execute;
ENDS[BACKEND.emptyQueryResponse] = FRONTEND.execute;
ENDS[BACKEND.portalSuspended] = FRONTEND.execute;
