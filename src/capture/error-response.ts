/**
 * An ErrorResponse as an Error with `code` (the SQLSTATE), from its body without tag and length.
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 *
 *   ErrorResponse => 'E' Int32(length) (Byte1(field) String)* 0
 */
export function serverError(body: Buffer): Error & { readonly code: string } {
  const fields = new Map<string, string>();
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const zero = body.indexOf(0, at);
    const end = zero === -1 ? body.length : zero;
    fields.set(String.fromCharCode(body[at]!), body.toString('utf8', at + 1, end));
    at = end + 1;
  }
  const error = new Error(fields.get('M') ?? 'the server reported an error without a message');
  return Object.assign(error, { code: fields.get('C') ?? '' });
}
