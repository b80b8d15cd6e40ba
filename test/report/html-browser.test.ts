import {mkdir, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {renderPlan} from '../../src/report/plan-document.ts';
import {openPage, type Page} from '../support/chromium.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';
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

  test('asks for nothing, and breaks no rule of its own', () => {
    expect(page.requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
    expect(page.errors).toEqual([]);
  });

  test('finds rows by words, opens what has them, and says how many there are', async () => {
    await page.evaluate(`document.getElementById('search').focus()`);
    await page.type('service-7 v1.5');
    const found = await page.evaluate(SETTLED);
    expect(found).toBe('1 row');
    const seen = await page.evaluate(
      `[...document.querySelectorAll('details[open] tbody tr')].filter((row) => row.checkVisibility()).map((row) => row.cells[1].textContent)`,
    );
    expect(seen).toEqual(['v1.5.0-build.1005']);
    await page.evaluate(
      `(() => { const box = document.getElementById('search'); box.value = ''; box.dispatchEvent(new Event('input')); })()`,
    );
    expect(await page.evaluate(SETTLED)).toBe('');
    expect(await page.evaluate(`document.querySelectorAll('details[open]').length`)).toBe(0);
  });

  test('is used with the keyboard alone: filter, fold, sort', async () => {
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

  test('tells a screen reader what is what', async () => {
    const {nodes} = (await page.call('Accessibility.getFullAXTree')) as {
      readonly nodes: readonly {
        readonly role?: {readonly value: string};
        readonly name?: {readonly value: string};
      }[];
    };
    const named = (role: string) =>
      nodes.filter((node) => node.role?.value === role).map((node) => node.name?.value);
    expect(named('main')).toHaveLength(1);
    expect(named('heading')).toContain('transship plan');
    expect(named('searchbox')).toEqual(['Search']);
    expect(named('status')).toHaveLength(1);
    expect(named('checkbox')).toEqual(
      expect.arrayContaining(['new', 'moves', 'already there', 'left out', 'whole digests']),
    );
    expect(named('columnheader')).toContain('What');
    // What a mark means is said in a word.
    expect(named('cell')).toContain('moves');
  });
});

/** What is said of a search, once it is done. */
const SETTLED = `new Promise((resolve) => {
  const found = document.getElementById('found');
  const seen = new MutationObserver(() => { seen.disconnect(); resolve(found.textContent); });
  seen.observe(found, {childList: true, characterData: true, subtree: true});
})`;

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
