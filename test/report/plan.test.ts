import {createHash} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {shortDigest} from '../../src/model/digest.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import {planJson, renderPlan} from '../../src/report/plan-document.ts';
import {destination, entry, image, index, manifest, source} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

const FROM = 'a.test/team/app';
const TO = 'b.test/group/app';
const one = image(['base', 'one']);
const two = image(['base', 'two']);
const old = manifest({schemaVersion: 1, name: 'x', fsLayers: []});
const EVIL = '\u001b[31m|`<img src=x onerror=alert(1)>`@root \u202e';

const mixed = copyPlan(
  [
    {
      source: source(FROM, {'1.0': one, '1.1': two, latest: two, old}, [], {
        notRead: [{tag: EVIL, reason: 'invalid-name', detail: `bad | ${EVIL}`}],
      }),
      destination: destination(TO, {
        '1.0': one.descriptor.digest,
        latest: one.descriptor.digest,
      }),
    },
  ],
  {tags: ['1.*', 'la*'], platforms: []},
  {source: FROM, destination: TO},
);

function many(count: number): CopyPlan {
  const tags = Object.fromEntries(
    Array.from({length: count}, (_, at) => [`v${String(at).padStart(3, '0')}`, one]),
  );
  const routes = [{source: source(FROM, tags), destination: destination(TO)}];
  return copyPlan(routes);
}

function copiesShown(plan: CopyPlan, full = false): number | undefined {
  return renderPlan(plan, 'text', {full}).match(/^ {2}\+ /gm)?.length;
}

it('names the platforms of images where they are known', () => {
  const both = index([entry(one, 'linux/amd64'), entry(two, 'linux/arm64/v8')]);
  const tags = {single: image(['other']), multi: both};
  const routes = [{source: source(FROM, tags, [one, two]), destination: destination(TO)}];
  const text = renderPlan(copyPlan(routes), 'text');
  expect(text).toMatch(/^ {2}\+ \S+:multi .* linux\/amd64 linux\/arm64\/v8 {2}a\.test/m);
  expect(text).toMatch(/^ {2}\+ \S+:single .* B +- +a\.test/m);
  const markdown = renderPlan(copyPlan(routes), 'markdown');
  expect(markdown).toContain('| Image | Digest | Size | Platforms | From | Why |');
});

describe('a plan as text', () => {
  const text = renderPlan(mixed, 'text');

  it('marks created, moved, kept and omitted tags', () => {
    const short = (what: typeof one) => shortDigest(what.descriptor.digest);
    expect(text).toMatch(new RegExp(`^  \\+ ${TO}:1\\.1 +${short(two)}  `, 'm'));
    expect(text).toMatch(new RegExp(`^  ~ ${TO}:latest +${short(one)}  ${short(two)}  `, 'm'));
    expect(text).toMatch(new RegExp(`^  = ${TO}:1\\.0 +${short(one)}$`, 'm'));
    expect(text).toMatch(new RegExp(`^  - ${FROM}:old +unsupported +Docker schema 1$`, 'm'));
    expect(text).toMatch(/^ {2}\? SCHEMA1_UNSUPPORTED /m);
    expect(text).toMatch(/^ {2}--tag +1\.\*, la\*$/m);
    expect(text).not.toContain('--platform  ');
  });

  it('ends with a summary in one line', () => {
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      `Plan: 2 images to copy: 1 new, 1 tag moves (${mixed.totals.bytes} B in 2 blobs), 0 mounted, 1 already there, 2 skipped. 2 warnings.`,
    );
  });

  it('reports that there is nothing to do, or that it is forbidden', () => {
    const routes = [
      {
        source: source(FROM, {'1.0': one}),
        destination: destination(TO, {'1.0': one.descriptor.digest}),
      },
    ];
    expect(renderPlan(copyPlan(routes), 'text')).toMatch(
      /\nPlan: nothing to do, 1 already there, 0 skipped\.\n$/,
    );
    const forbidden = copyPlan([
      {source: source(FROM, {old}), destination: destination(TO), single: true},
    ]);
    expect(renderPlan(forbidden, 'text')).toMatch(/It cannot be applied: 1 check forbids it\.\n$/);
    expect(renderPlan(forbidden, 'text')).toContain('Forbidden (1):\n  ! SCHEMA1_UNSUPPORTED');
  });

  it('shortens long lists, says by how much and how to see the rest', () => {
    expect(renderPlan(many(300), 'text', {planFile: 'app.plan.json'})).toMatch(
      /\n {4}… and 275 more: transship show app\.plan\.json --all\n/,
    );
    expect([copiesShown(many(300)), copiesShown(many(300), true), copiesShown(many(26))]).toEqual([
      25, 300, 26,
    ]);
    expect(renderPlan(many(300), 'text', {full: true})).not.toMatch(/ more/);
  });

  it('lets nothing through that a terminal would obey', () => {
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(text).toContain('\\u{1b}[31m|`<img');
  });
});

describe('a plan as Markdown', () => {
  const markdown = renderPlan(mixed, 'markdown');

  it('has tables of which every row has every cell', () => {
    for (const table of markdown
      .trimEnd()
      .split('\n\n')
      .filter((block) => block.startsWith('|'))) {
      const widths = table.split('\n').map((line) => line.split(/(?<!\\)\|/).length);
      expect(new Set(widths).size).toBe(1);
    }
    expect(markdown).toContain('| Image | Digest | Size | From | Why |\n| --- |');
    expect(markdown).toContain(`\n| \`${TO}:1.1\` | `);
  });

  it('folds details', () => {
    expect(markdown).toContain('<details>\n<summary>Already there (1)</summary>\n\n|');
    expect(markdown.match(/<details>/g)?.length).toBe(markdown.match(/<\/details>/g)?.length);
    expect(markdown.indexOf('**Plan: ')).toBeLessThan(markdown.indexOf('|'));
  });

  it('lets no markup, HTML or mention through', () => {
    const outside = markdown.replace(/(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g, '');
    expect(outside).not.toMatch(/<(?!\/?(?:details|summary)>)|@/);
    expect(markdown).toContain('bad `\\|` ``\\u{1b}[31m\\|`<img`` `src=x`');
  });

  it('shortens long lists', () => {
    expect(renderPlan(many(100), 'markdown')).toContain(
      '\n\n… and 75 more: `transship show PLAN --all`',
    );
    expect(renderPlan(many(100), 'markdown', {full: true})).toContain(`${TO}:v099`);
  });
});

describe('a plan as HTML', () => {
  const html = renderPlan(mixed, 'html');

  it('is one page that asks for nothing', () => {
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).not.toMatch(/<link|<[^>]*\s(?:src|href|on\w+)=|url\(|@import/);
    // Its own script, and no other, may run.
    const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text = '']) => text);
    expect(html.match(/<script/g)).toHaveLength(1);
    const hash = createHash('sha256')
      .update(scripts[0] ?? '')
      .digest('base64');
    expect(html).toContain(
      `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'"`,
    );
    expect(html).toContain('light-dark(');
    for (const tag of ['table', 'tr', 'td', 'details', 'section', 'code', 'div']) {
      const count = (pattern: string) => html.match(new RegExp(pattern, 'g'))?.length;
      expect(count(`<${tag}[ >]`)).toBe(count(`</${tag}>`));
    }
  });

  it('escapes external text', () => {
    expect(html).not.toContain('<img');
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
  });

  it('is never shortened', () => {
    const text = renderPlan(many(300), 'html').replaceAll(/<[^>]+>/g, '');
    expect(text).toContain(`${TO}:v299`);
  });
});

it('is the plan itself as JSON', () => {
  expect(JSON.parse([...planJson(mixed)].join(''))).toEqual(mixed);
});

it('shows a digest where there is no tag', () => {
  const roots = [{digest: one.descriptor.digest, as: 'asked' as const}];
  const routes = [{source: {...source(FROM, {}, [one]), roots}, destination: destination(TO)}];
  const plan = copyPlan(routes);
  const name = `${TO}@${shortDigest(one.descriptor.digest)}`;
  expect(renderPlan(plan, 'text')).toContain(`  + ${name}  `);
});
