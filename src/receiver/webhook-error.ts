/**
 * A request that is not to be taken. `status` is what to answer with.
 *
 * - `missing_header`: `webhook-id`, `webhook-timestamp` or `webhook-signature` is not there (401)
 * - `invalid_signature`: none of the signatures is one of these secrets (401)
 * - `stale`: the signature is right, and older or newer than is tolerated (401)
 * - `too_large`: the body, or what it unpacks to, is longer than allowed (413)
 * - `unsupported_encoding`, `damaged_body`: the body does not unpack (415, 400)
 * - `in_progress`: another request applies the same events at this moment (503)
 */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';
  readonly code: WebhookErrorCode;
  readonly status: number;

  constructor(code: WebhookErrorCode, message: string) {
    super(message);
    this.code = code;
    this.status = STATUS[code];
  }
}

export type WebhookErrorCode = keyof typeof STATUS;

const STATUS = {
  missing_header: 401,
  invalid_signature: 401,
  stale: 401,
  too_large: 413,
  unsupported_encoding: 415,
  damaged_body: 400,
  in_progress: 503,
} as const;
