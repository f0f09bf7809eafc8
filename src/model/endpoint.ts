/** What JSON can say. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** What `CREATE CDC ENDPOINT` defines: a URL with its options, under a name that streams refer to. */
export interface EndpointDefinition {
  /** A UUID of this incarnation. */
  readonly id: string;
  readonly name: string;
  /** Absolute http or https URL. Shown only through `redactUrl`. */
  readonly url: string;
  /** `EndpointOptions`, as analysis typed them; a secret is a `SecretReference`. */
  readonly options: Readonly<Record<string, JsonValue>>;
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
}

/** How a stream's destination names an endpoint. What that is, is looked up when it is used. */
export interface EndpointReference {
  readonly kind: 'endpoint';
  readonly name: string;
}
