/** What the reader is taken to have in every page's database. */
export const COMMON_TABLES = `
CREATE TABLE users (id int PRIMARY KEY, name text, email text);
CREATE TABLE orders (id bigint PRIMARY KEY, status text DEFAULT 'open', note text, total numeric(10, 2));
CREATE TABLE invoices (id int PRIMARY KEY, customer int, status text, total numeric);
`;

/** And besides on single pages, by path. */
export const PAGE_SETUP: Readonly<Record<string, string>> = {
  'docs/troubleshooting.md': `
    CREATE ROLE cdc_admin;
    CREATE CDC STREAM orders_cdc_stream ON orders TO WEBHOOK 'https://api.example.com/hooks/orders';
  `,
  'docs/kafka.md': `CREATE CDC SECRET registry AS 'user:password'`,
};
