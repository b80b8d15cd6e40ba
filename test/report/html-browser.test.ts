import {mkdir, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {runHistory} from '../../src/apply/run-history.ts';
import {renderPlan} from '../../src/report/plan-document.ts';
import {openPage, type Page} from '../support/chromium.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';
import {shardJournals} from '../support/run-journals.ts';
import {tempDirectory} from '../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let page: Page;

beforeAll(async () => {
  const temp = cleanup.use(await tempDirectory());
  await mkdir(temp.join('review'));
  const file = temp.join('review/large.html');
  const plan = largePlan(
    largeRoutes(20, 12, (_repository, tags) => {
      const {'v1.2.0-build.1002': there, 'v1.3.0-build.1003': other} = tags;
      return there === undefined || other === undefined
        ? {}
        : {
            'v1.2.0-build.1002': there.descriptor.digest,
            'v1.4.0-build.1004': other.descriptor.digest,
          };
    }),
  );
  await writeFile(file, renderPlan(plan, 'html'));
  page = cleanup.use(await openPage(file));
});
afterAll(() => cleanup.disposeAsync());

describe('the page of a run', () => {
  let run: Page;

  beforeAll(async () => {
    const temp = cleanup.use(await tempDirectory());
    const plan = largePlan(largeRoutes(8, 15, () => ({})));
    const history = runHistory(plan, shardJournals(plan, 4));
    const file = temp.join('run.html');
    await writeFile(file, renderPlan(plan, 'html', {history}));
    run = cleanup.use(await openPage(file));
  });

  test.each([
    [390, 'light'],
    [1280, 'dark'],
  ] as const)('at %i pixels, %s, fits its width', async (width, scheme) => {
    await run.look(width, scheme);
    expect(await run.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(await run.evaluate(`(${LEAST_CONTRAST})()`)).toBeGreaterThanOrEqual(4.5);
    expect(run.errors).toEqual([]);
    // A long table scrolls by itself: the page ends where it seems to.
    const beyond = await run.evaluate(
      'document.documentElement.scrollHeight - document.body.getBoundingClientRect().height',
    );
    expect(beyond).toBeLessThan(2);
    // What is drawn can be seen: it has a width, and stands within its line.
    const drawn =
      await run.evaluate(`[...document.querySelectorAll('.time i')].filter((bar) => bar.checkVisibility()).every((bar) => {
      const [own, cell] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
      return own.width >= 3 && own.left >= cell.left && own.right <= cell.right + 3;
    })`);
    expect(drawn).toBe(true);
  });

  test('describes its pictures in text and in a table', async () => {
    const {nodes} = (await run.call('Accessibility.getFullAXTree')) as {nodes: readonly AxNode[]};
    expect(namesOf(nodes, 'image')).toEqual([
      expect.stringMatching(/^Bytes sent over time: at most [\d.]+ [KMG]iB\/s$/),
      'Failed attempts over time',
      'Retries over time',
    ]);
    const rows = await run.evaluate(`document.querySelectorAll('.history tbody tr').length`);
    expect(rows).toBeGreaterThan(20);
  });
});

describe('the page in Chromium', () => {
  test.each([
    [390, 'light'],
    [390, 'dark'],
    [1280, 'light'],
    [1280, 'dark'],
  ] as const)('at %i pixels, %s, fits its width and is short', async (width, scheme) => {
    await page.look(width, scheme);
    const {scrollWidth, scrollHeight, background} = (await page.evaluate(
      `({scrollWidth: document.documentElement.scrollWidth, scrollHeight: document.documentElement.scrollHeight,
        background: getComputedStyle(document.body).backgroundColor})`,
    )) as Record<'scrollWidth' | 'scrollHeight', number> & {readonly background: string};
    expect(scrollWidth).toBeLessThanOrEqual(width);
    expect(scrollHeight).toBeLessThan(10_000);
    expect(background).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(13, 17, 23)');
    // Text that is read stands out from the page (WCAG 2.2, 1.4.3).
    const contrast = await page.evaluate(`(${LEAST_CONTRAST})()`);
    expect(contrast).toBeGreaterThanOrEqual(4.5);
  });

  test('makes no request, and violates no rule of its policy', () => {
    expect(page.requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
    expect(page.errors).toEqual([]);
  });

  test('finds rows by text, shows the first, and links to each', async () => {
    await search('service-7 v1.5');
    expect(await page.evaluate(FOUND)).toBe('1 row');
    expect(await page.evaluate(RESULTS)).toEqual(['v1.5.0-build.1005']);
    await page.evaluate(`document.querySelector('#results a').focus()`);
    await page.press('Enter');
    const [name, isOpen, value] = (await page.evaluate(
      `[document.activeElement.cells[1].textContent, document.activeElement.closest('details').open, document.getElementById('search').value]`,
    )) as unknown[];
    expect([name, isOpen, value]).toEqual(['v1.5.0-build.1005', true, '']);
    expect(await page.evaluate(FOUND)).toBe('');
  });

  test('changes little for a search, however many rows match', async () => {
    await page.evaluate(`window.changes = 0; new MutationObserver((all) => { window.changes += all.length; })
      .observe(document.getElementById('all'), {subtree: true, childList: true, attributes: true})`);
    await search('v1');
    expect(await page.evaluate(FOUND)).toBe('first 50 of 260 rows');
    expect(await page.evaluate(RESULTS)).toHaveLength(50);
    await search('service');
    // The list itself was hidden as a whole, once.
    expect(await page.evaluate('window.changes')).toBe(1);
    await page.evaluate(`document.getElementById('more').click()`);
    expect(await page.evaluate(RESULTS)).toHaveLength(100);
    await search('');
    expect(await page.evaluate('window.changes')).toBe(2);
    expect(await page.evaluate(RESULTS)).toEqual([]);
  });

  test('does not search hidden content', async () => {
    await search('service-7 v1');
    await page.evaluate(`document.getElementById('moves').click()`);
    expect(await page.evaluate(FOUND)).toBe('11 rows');
    await page.evaluate(`document.getElementById('moves').click()`);
    expect(await page.evaluate(FOUND)).toBe('13 rows');
    await search('');
  });

  test('can be used with the keyboard only: filter, fold, sort', async () => {
    const rows = `[...document.querySelectorAll('main section')].flatMap((box) => [...box.querySelectorAll('tr.moves')]).filter((row) => row.checkVisibility()).length`;
    expect(await page.evaluate(rows)).toBe(20);
    await page.evaluate(`document.getElementById('moves').focus()`);
    await page.press('Space');
    expect(await page.evaluate(rows)).toBe(0);
    await page.press('Space');
    await page.evaluate(`document.querySelector('main details > summary').focus()`);
    await page.press('Enter');
    expect(await page.evaluate(`document.querySelector('main details').open`)).toBe(true);
    await page.press('Enter');
    // The heads of columns come one after the other.
    await page.evaluate(`document.querySelector('main section th button').focus()`);
    await page.press('Tab');
    const [column] = (await page.evaluate(
      `[document.activeElement.closest('table').querySelectorAll('th')[2].contains(document.activeElement)]`,
    )) as boolean[];
    expect(column).toBe(true);
    await page.press('Enter');
    expect(await page.evaluate(`document.activeElement.parentElement.ariaSort`)).toBe('ascending');
  });

  test('sizes are sorted as sizes', async () => {
    const sizes = (await page.evaluate(
      `(() => { const box = [...document.querySelectorAll('main section')].find((one) => one.querySelector('h2').textContent.startsWith('Repositories'));
        const head = [...box.querySelectorAll('th button')].at(-1); head.click();
        return [...box.querySelectorAll('tbody td.size')].map((cell) => Number(cell.dataset.bytes)); })()`,
    )) as number[];
    expect(sizes).toHaveLength(20);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
  });

  test('is accessible to screen readers', async () => {
    const {nodes} = (await page.call('Accessibility.getFullAXTree')) as {nodes: readonly AxNode[]};
    const named = (role: string) => namesOf(nodes, role);
    expect(named('main')).toHaveLength(1);
    expect(named('heading')).toContain('transship plan');
    expect(named('searchbox')).toEqual(['Search']);
    expect(named('status')).toHaveLength(1);
    // Nothing is left out of this plan, so that no box hides it.
    expect(new Set(named('checkbox'))).toEqual(
      new Set(['already there', 'moves', 'new', 'whole digests', 'whole names']),
    );
    expect(named('columnheader')).toContain('What');
    // What a mark means is said in a word.
    expect(named('cell')).toContain('moves');
  });
});

interface AxNode {
  readonly role?: {readonly value: string};
  readonly name?: {readonly value: string};
}

function namesOf(nodes: readonly AxNode[], role: string): readonly (string | undefined)[] {
  return nodes.filter((node) => node.role?.value === role).map((node) => node.name?.value);
}

async function search(words: string): Promise<void> {
  await page.evaluate(
    `(() => { const box = document.getElementById('search'); box.focus(); box.select(); })()`,
  );
  if (words !== '') return await page.type(words);
  await page.evaluate(
    `(() => { const box = document.getElementById('search'); box.value = ''; box.dispatchEvent(new Event('input')); })()`,
  );
}

/** What is said of a search. */
const FOUND = `document.getElementById('found').textContent`;
/** The names that it shows. */
const RESULTS = `[...document.querySelectorAll('#results tbody tr')].map((row) => row.cells[1].textContent)`;

/** The least contrast of a text that is seen with the page behind it. */
const LEAST_CONTRAST = `() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
      const one = Number(part) / 255;
      return one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll('h1, .summary, dt, dd, th, td, .mark, summary')];
  return Math.min(...texts.map((one) => {
    const front = light(getComputedStyle(one).color);
    const [high, low] = front > behind ? [front, behind] : [behind, front];
    return (high + 0.05) / (low + 0.05);
  }));
}`;
