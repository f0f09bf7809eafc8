import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { axeViolations, startBrowser } from '../support/browser.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: an operator sees by the console what happens as it happens, and does by it what SQL does, with SQL in sight;
// also without a mouse, without sight, at night and on a phone.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const sql = await connect(walhook.sqlUrl());
const receiver = await startReceiver();
const browser = await startBrowser();
const ORIGIN = walhook.httpUrl('/');

await sql.query(`CREATE TABLE orders (id int PRIMARY KEY, note text)`);
await sql.query(
  `CREATE ROLE operator LOGIN PASSWORD 'of the tests'; CREATE ROLE cdc_admin; GRANT cdc_admin TO operator`,
);

/** A page that nothing may go wrong in: no error in its console, no request that leaves walhook. */
async function openPage(options: BrowserContextOptions = {}): Promise<{ page: Page; wrong: string[] }> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') wrong.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(ORIGIN)) wrong.push(`a request to ${request.url()}`);
  });
  return { page, wrong };
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign in' }).first().click();
  await page.getByLabel('User').fill('operator');
  await page.getByLabel('Password').fill('of the tests');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('operator', { exact: true }).waitFor();
}

/** Opens an action, checks the statement that it shows, and runs it. */
async function act(page: Page, button: string, statement: string): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).first().click();
  const dialog = page.getByRole('dialog');
  assert.equal(await dialog.locator('pre').innerText(), statement);
  await dialog.getByRole('button', { name: 'Run this SQL' }).click();
  await dialog.getByRole('status').first().waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
}

const insert = (id: number): Promise<unknown> => sql.query('INSERT INTO orders VALUES ($1, $2)', [id, `note ${id}`]);
const arrived = (id: number): Promise<unknown> =>
  waitFor(`row ${id}`, () =>
    receiver.requests.some(({ body }) => (body['after'] as { id?: number } | null)?.id === id),
  );

test('a stream is created, fails, leaves a dead letter, is mended, paused and resumed, all in sight', async () => {
  const { page, wrong } = await openPage();
  await page.goto(ORIGIN);
  await page.getByText('There are no streams yet').waitFor();

  // What SQL creates comes into sight by itself, and so does what it delivers.
  await sql.query(`CREATE CDC STREAM orders_stream ON orders TO WEBHOOK '${receiver.url}/orders'
    WITH (max_retry_duration = '1ms', initial_backoff = '10ms', max_backoff = '10ms')`);
  const row = page.getByRole('row', { name: /orders_stream/ });
  await row.getByText('running').waitFor();
  await insert(1);
  await arrived(1);
  const delivered = row.locator('[data-title=Delivered]');
  await waitFor('the count', async () => (await delivered.innerText()) === '1');

  // Whoever looks only is shown the statement and asked to sign in.
  await page.getByRole('link', { name: 'orders_stream' }).click();
  await page.getByRole('heading', { name: 'orders_stream' }).waitFor();
  assert.equal(await page.evaluate('document.activeElement.id'), 'main');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('dialog').getByText('ALTER CDC STREAM orders_stream PAUSE').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('User').fill('operator');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  // The browser says of its own accord that the answer was 401.
  assert.deepEqual(
    wrong.splice(0).filter((text) => !text.includes('401')),
    [],
  );
  await page.getByLabel('Password').fill('of the tests');
  await page.getByRole('button', { name: 'Sign in' }).click();

  // The receiver breaks: the circuit opens.
  receiver.answer = () => 503;
  for (let id = 2; id <= 8; id++) await insert(id);
  await page.getByText('circuit open').waitFor();
  await page.getByRole('link', { name: 'Deliveries' }).click();
  await page.getByText('HTTP 503').first().waitFor();
  receiver.answer = () => 204;
  await act(page, 'Reset circuit', 'ALTER CDC STREAM orders_stream RESET CIRCUIT');
  await arrived(8);
  await page.getByText('running').waitFor();

  // It refuses an event for good: a dead letter, with its row, which is sent again.
  receiver.answer = () => 422;
  await insert(9);
  await page.getByRole('link', { name: /Dead letters/ }).click();
  await page.getByText('{"id":9}').click();
  await page.getByText('"note": "note 9"').waitFor();
  receiver.answer = () => 204;
  const before = receiver.requests.length;
  await act(page, 'Retry all', 'RETRY CDC DEAD LETTERS FOR orders_stream ALL');
  await waitFor('it to come again', () => receiver.requests.length > before);
  await page.getByText('No dead letters').waitFor();

  // A test event; then a pause, with the keyboard alone.
  await act(page, 'Test', 'TEST CDC STREAM orders_stream');
  await page.getByRole('button', { name: 'Pause' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Run this SQL' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('ALTER CDC STREAM', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('paused').waitFor();
  assert.equal(await page.evaluate('document.activeElement.tagName'), 'BUTTON');
  await insert(10);
  await page.getByRole('link', { name: 'Next requests' }).click();
  await page.getByText('1 event').waitFor();
  await act(page, 'Resume', 'ALTER CDC STREAM orders_stream RESUME');
  await arrived(10);

  await page.getByRole('link', { name: 'History' }).click();
  await page.getByRole('row', { name: /operator resume/ }).waitFor();
  await page.getByRole('link', { name: 'Definition' }).click();
  await page.getByLabel('definition', { exact: true }).getByText('CREATE CDC STREAM').waitFor();
  assert.deepEqual(wrong, []);
  await page.context().close();
});

const PAGES: [string, (page: Page) => Locator][] = [
  ['#/', (page) => page.getByRole('row', { name: /billing/ })],
  ['#/stream/orders_stream', (page) => page.getByRole('img', { name: /^Events/ })],
  ['#/stream/orders%2C%20to%20billing/deliveries', (page) => page.locator('summary').first()],
  ['#/stream/orders%2C%20to%20billing/dead-letters', (page) => page.locator('summary').first()],
  ['#/stream/orders_stream/next', (page) => page.getByText('Nothing waits to be sent')],
  ['#/stream/orders_stream/definition', (page) => page.getByRole('row', { name: /batch_max_events/ })],
  ['#/stream/orders_stream/history', (page) => page.getByRole('row', { name: /create/ })],
  ['#/endpoints', (page) => page.getByRole('row', { name: /billing/ })],
  ['#/replication', (page) => page.getByRole('row', { name: /walhook_/ })],
  ['#/settings', (page) => page.getByRole('row', { name: /log-level/ })],
  ['#/nowhere', (page) => page.getByText('There is no such page')],
];

/** Every page in turn, with what it unfolds unfolded. */
async function eachPage(page: Page, look: (name: string) => Promise<void>): Promise<void> {
  for (const [path, sign] of PAGES) {
    await page.goto(`${ORIGIN}${path}`);
    await sign(page).first().waitFor();
    for (const summary of await page.locator('summary').all()) await summary.click();
    await look(path);
  }
}

test('what an endpoint refuses is there to be looked at', async () => {
  await sql.query(`CREATE CDC ENDPOINT billing AS '${receiver.url}/billing'`);
  await sql.query(
    `CREATE CDC STREAM "orders, to billing" ON orders TO ENDPOINT billing WITH (max_retry_duration = '1ms')`,
  );
  receiver.answer = ({ path }) => (path === '/billing' ? 422 : 204);
  await insert(20);
  await waitFor('a dead letter', async () => {
    const { rows } = await sql.query('SHOW CDC DEAD LETTERS FOR "orders, to billing"');
    return rows.length === 1;
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`each page and dialog, ${colorScheme}, is fit for a screen reader and has enough contrast`, async () => {
    const { page, wrong } = await openPage({ colorScheme });
    await page.goto(ORIGIN);
    await page.getByRole('button', { name: 'Sign in' }).click();
    assert.deepEqual(await axeViolations(page), [], 'sign-in');
    await page.getByRole('button', { name: 'Only look' }).click();
    await signIn(page);
    await eachPage(page, async (name) => assert.deepEqual(await axeViolations(page), [], name));
    await page.goto(`${ORIGIN}#/stream/orders_stream`);
    await page.getByRole('button', { name: 'Test', exact: true }).click();
    await page.getByRole('button', { name: 'Run this SQL' }).click();
    await page.getByRole('dialog').getByText('accepted').waitFor();
    assert.deepEqual(await axeViolations(page), [], 'a dialog');
    assert.deepEqual(wrong, []);
    await page.context().close();
  });
}

test('on a phone no page is wider than the screen', async () => {
  const { page, wrong } = await openPage({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.goto(ORIGIN);
  await signIn(page);
  await eachPage(page, async (name) => {
    assert.ok(await page.evaluate('document.documentElement.scrollWidth <= 390'), name);
    assert.deepEqual(await axeViolations(page), [], name);
  });
  assert.deepEqual(wrong, []);
  await page.context().close();
});

test('the colours can be chosen, and stay so', async () => {
  const { page } = await openPage({ colorScheme: 'light' });
  const background = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
  await page.goto(ORIGIN);
  const colours = page.getByRole('button', { name: /^Colours/ });
  await colours.waitFor();
  const light = await background();
  await colours.click();
  assert.equal(await background(), light);
  await colours.click();
  const dark = await background();
  assert.notEqual(dark, light);
  await page.reload();
  await colours.waitFor();
  assert.equal(await background(), dark);
  await colours.click();
  assert.equal(await background(), light);
  await page.context().close();
});

test('a page of another origin can neither frame the console nor use its session', async () => {
  const { page } = await openPage();
  await page.goto(ORIGIN);
  await signIn(page);
  // Another port of the same machine is the same site to the browser: what it sends carries the cookie.
  const other = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end(`<iframe src="${ORIGIN}"></iframe>`),
  );
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  after(() => other.close());
  const foreign = await page.context().newPage();
  await foreign.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
  assert.equal(await foreign.frameLocator('iframe').getByText('Streams').count(), 0);
  const read = await foreign.evaluate(
    (url) =>
      fetch(url, { credentials: 'include' }).then(
        () => 'read',
        () => 'kept from it',
      ),
    `${ORIGIN}api/session`,
  );
  assert.equal(read, 'kept from it');
  await page.context().close();
});

test('when walhook comes back, so does the page', async () => {
  const { page } = await openPage();
  await page.goto(ORIGIN);
  await page.getByText('live', { exact: true }).waitFor();
  await walhook.stop();
  await page.getByText('connecting …').waitFor();
  await walhook.start();
  await page.getByText('live', { exact: true }).waitFor();
  await page.context().close();
});
