/** The names of what a definition needs. */
export interface References {
  readonly endpoints: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

/**
 * Every `EndpointReference` and `SecretReference` inside plain data, wherever it stands: an option that comes to hold a
 * secret is found without being named here.
 */
export function referencesIn(...values: readonly unknown[]): References {
  const endpoints = new Set<string>();
  const secrets = new Set<string>();
  const visit = (key: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { kind, name } = value as { kind?: unknown; name?: unknown };
    // Headers have names of the user's choice: "kind" and "name" may be among them.
    const mayRefer = key !== 'headers' && typeof name === 'string';
    if (mayRefer && kind === 'endpoint') endpoints.add(name);
    else if (mayRefer && kind === 'secret') secrets.add(name);
    else for (const [innerKey, inner] of Object.entries(value)) visit(innerKey, inner);
  };
  for (const value of values) visit('', value);
  return { endpoints, secrets };
}
