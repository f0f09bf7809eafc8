/** What the relay asks of whoever steps in for messages. Sizes and times are its own matter. */
export interface Interceptor {
  /**
   * Whether the client's message is one to step in for; otherwise it passes. `whole` is false for the first part of a
   * long one, which is asked about again when it is there, if that may be one. Called for each message of the types in
   * FROM_CLIENT (or, by `names`, FROM_CLIENT_NAMED).
   */
  concerns(type: number, bytes: Buffer, start: number, end: number, whole: boolean): boolean;
  /** A piece of the client's message that passes because it is too long to be asked about. */
  passing(type: number, bytes: Buffer, start: number, end: number): void;
  /** The upstream's ErrorResponse, while `asksErrors`: what is sent in its place, or null. */
  failed(message: Buffer): Buffer | null;
  /** Answers the message. Nothing else of the client's goes upstream meanwhile. Does not reject. */
  handle(message: Buffer): Promise<void>;
  /** ReadyForQuery has come from the upstream. */
  ready(status: number): void;
  /** A command of the client's has completed; told only while names of ours exist, errors are asked about or changes staged. */
  completed(message: Buffer): void;
  /** While changes are staged: a CommandComplete or ReadyForQuery is not to reach the client yet. Told after the two above. */
  holds(type: number, message: Buffer): boolean;
  /** The session has ended. */
  ended(): void;
  /** The statement of ours that runs, if any, is to end with 57014. */
  cancel(): void;
}
