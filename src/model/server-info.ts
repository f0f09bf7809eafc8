/** One option that walhook runs with, as SHOW CDC SETTINGS has it. Secrets in it are `***`. */
export interface Setting {
  /** As the flag has it, without its dashes. */
  readonly name: string;
  readonly value: string;
  readonly source: 'flag' | 'environment' | 'file' | 'default';
  readonly text: string;
  /** Whether SIGHUP brings another value into force. */
  readonly isReloadable: boolean;
  /** Another value has been read, which a restart brings into force. */
  readonly isPendingRestart: boolean;
}

/** What statements may ask of the process they run in, whenever they do: it may change. */
export interface ServerInfo {
  readonly version: string;
  /** Streams send to endpoints alone, and only administrators define those. */
  readonly requireEndpoint: boolean;
  /** Whether the endpoint of a stream that does not say is sent a test event. */
  readonly validate: boolean;
  readonly settings: readonly Setting[];
}
