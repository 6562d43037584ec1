/** The endpoint without user, password and query: it is part of keys and log lines. */
export function endpointOf(baseUrl: string | undefined): string {
  if (!baseUrl || !URL.canParse(baseUrl)) return 'default';
  const { origin, pathname } = new URL(baseUrl);
  return (origin + pathname).replace(/\/+$/, '');
}
