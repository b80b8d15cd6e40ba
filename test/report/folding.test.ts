import {readFile} from 'node:fs/promises';
import {describe, expect, it} from 'vitest';
import {planStatus} from '../../src/apply/plan-status.ts';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import type {StepResult} from '../../src/model/outcome.ts';
import {copiesOf, type CopyPlan, type Plan} from '../../src/model/plan.ts';
import {createSteps} from '../../src/plan/create-steps.ts';
import {partOfPlan} from '../../src/plan/part-of-plan.ts';
import {planJson, renderPlan} from '../../src/report/plan-document.ts';
import {renderRun} from '../../src/report/run-document.ts';
import {destination, image, manifest, source} from '../support/inventories.ts';
import {largePlan, largeRoutes, repositoryName, SOURCE, TARGET} from '../support/large-plan.ts';
import {copyPlan} from '../support/plan-files.ts';
import {repository, transferFacts, transferPlan} from '../support/transfer-facts.ts';

/** Of ten repositories, the third moves a tag and the fifth has nothing to do. */
function planOf(repositories: number, tags: number): CopyPlan {
  return largePlan(
    largeRoutes(repositories, tags, (at, all): Record<string, Digest> => {
      const digests = Object.entries(all).map(([tag, {descriptor}]) => [tag, descriptor.digest]);
      if (at % 10 === 5) return Object.fromEntries(digests) as Record<string, Digest>;
      return at % 10 === 3 ? {'v1.9.0-build.1009': digestOf(`old ${at}`)} : {};
    }),
  );
}

const plan = planOf(40, 12);
const FILE = 'acme.plan.json';
const text = renderPlan(plan, 'text', {planFile: FILE});
const nameOf = (at: number): string => `${TARGET}/${repositoryName(at)}`;
const short = (at: number): string => `${SOURCE}/${repositoryName(at)}`;

describe('a plan of many repositories as text', () => {
  it('says first what it adds up to', () => {
    expect(text.split('\n').slice(2, 8)).toEqual([
      '  sources       40',
      '  destinations  40',
      '  repositories  36 of 40 with something to do',
      '  images        428 new, 4 tags move, 48 already there',
      expect.stringMatching(/^ {2}to send {7}\d+\.\d KiB in \d+ blobs; \d+\.\d KiB mounted or/),
      expect.stringMatching(
        /^ {2}shared {8}\d+\.\d KiB in several images of a repository, counted once$/,
      ),
    ]);
    expect(text.trimEnd().split('\n').at(-1)).toMatch(
      /^Plan: 432 images to copy: 428 new, 4 tags move \(/,
    );
  });

  it('has a line for each repository, and names each tag that moves', () => {
    const lines = text.split('\n').filter((line) => line.startsWith(`  + ${SOURCE}`));
    expect(lines).toHaveLength(36);
    expect(lines.find((line) => line.includes(`${short(13)} `))).toMatch(
      new RegExp(`${short(13)} +${nameOf(13)} +11 new, 1 tag moves +\\d\\.\\d KiB$`),
    );
    expect(text.match(/^ {2}~ /gm)).toHaveLength(4);
    expect(text).toContain('\nRepositories with nothing to do (4)\n');
    expect(text).toContain('\nTo list all 480 images: transship show acme.plan.json --all\n');
    expect(text.split('\n').length).toBeLessThan(70);
  });

  it('adds up the bytes of its repositories to those of the plan', () => {
    const parts = Array.from({length: 40}, (_, at) => partOfPlan(plan, [nameOf(at)]));
    const sum = parts.reduce((bytes, part) => bytes + part.totals.bytes, 0);
    expect(sum).toBe(plan.totals.bytes);
  });

  it('shows every image if everything is asked for, in the order of versions', () => {
    const all = renderPlan(plan, 'text', {full: true});
    const from = all.slice(all.indexOf(`\n${short(3)} -> ${nameOf(3)} (11 new, 1 tag moves, `));
    const tags = [...from.slice(0, from.indexOf('\n\n')).matchAll(/^ {2}(.) v1\.(\d+)\./gm)];
    expect(tags.map(([, mark, minor]) => `${mark}${minor}`)).toEqual([
      '~9',
      ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11].map((minor) => `+${minor}`),
    ]);
    expect(all.match(/^ {2}= v1\./gm)).toHaveLength(48);
  });

  it('stays as detailed as it is where it copies few images, however many repositories there are', () => {
    const small = renderPlan(planOf(26, 1), 'text');
    expect(small).toMatch(new RegExp(`^  \\+ ${nameOf(8)}:v1\\.0\\.0-build\\.1000 `, 'm'));
    expect(small).not.toContain('Repositories');
  });
});

/** Wants eight tags for images of its own. */
function clash(name: string) {
  const tags = Array.from({length: 8}, (_, at) => [`v${at}`, image([`${name} ${at}`])] as const);
  return {
    source: source(`a.test/${name}`, Object.fromEntries(tags)),
    destination: destination('b.test/app'),
  };
}

function asJson(part: Plan): CopyPlan {
  return JSON.parse([...planJson(part)].join('')) as CopyPlan;
}

const OLD = manifest({schemaVersion: 1, name: 'x', fsLayers: []});

describe('findings that are alike', () => {
  const tags = Object.fromEntries(Array.from({length: 30}, (_, at) => [`old-${at}`, OLD] as const));
  const routes = [
    {
      source: source('a.test/app', {...tags, v1: image(['one'])}),
      destination: destination('b.test/app'),
    },
  ];

  it('are one line with the number, the first of them and the advice', () => {
    const folded = renderPlan(copyPlan(routes), 'text');
    expect(folded).toMatch(
      /^Warnings \(30\):\n {2}\? SCHEMA1_UNSUPPORTED +30 findings, such as: a\.test\/app:old-0 is .*; a\.test\/app:old-2 is [^;]*; and 27 more\n {6}convert it/m,
    );
    expect(folded.match(/^ {2}\? /gm)).toHaveLength(1);
    expect(folded).toContain(' 30 warnings.\n');
  });

  it('precede the images, and are listed individually in full output', () => {
    const all = renderPlan(copyPlan(routes), 'text', {full: true});
    expect(all.match(/^ {2}\? SCHEMA1/gm)).toHaveLength(30);
    expect(all.indexOf('Warnings')).toBeLessThan(all.indexOf('To copy'));
  });

  it('fold those that forbid the plan, too, and count each of them', () => {
    const forbidden = renderPlan(copyPlan([clash('one'), clash('two')]), 'text');
    expect(forbidden).toMatch(/^Forbidden \(8\):\n {2}! DESTINATION_CONFLICT +8 findings/m);
    expect(forbidden.match(/^ {2}! /gm)).toHaveLength(1);
    expect(forbidden).toContain('It cannot be applied: 8 checks forbid it.');
  });
});

describe('a part of a plan', () => {
  it.each([
    ['a destination', nameOf(3)],
    ['a source', short(3)],
    ['a path without the host', repositoryName(3)],
    ['a glob', '**/service-3'],
  ])('is chosen by %s', (_what, glob) => {
    const part = asJson(partOfPlan(plan, [glob]));
    expect(part.routes).toEqual([{from: short(3), to: nameOf(3), wish: 0}]);
    expect(part.steps).toEqual(copiesOf(plan).filter(({to}) => to === nameOf(3)));
    expect(part.totals).toMatchObject({steps: 12, moves: 1, present: 0});
    expect(part.id).toBe(plan.id);
  });

  it('holds all that its images are made of, and nothing else', () => {
    const part = asJson(partOfPlan(plan, ['team-3/*']));
    expect(new Set(copiesOf(part).map(({to}) => to))).toEqual(new Set([nameOf(3), nameOf(28)]));
    expect(part.manifests).toHaveLength(24);
    const blobs = new Set(part.manifests.flatMap((one) => one.blobs));
    expect(new Set(part.blobs.map(({digest}) => digest))).toEqual(blobs);
  });

  it('shows every image of the repositories, and which they are', () => {
    const shown = renderPlan(partOfPlan(plan, ['team-3/*']), 'text', {
      full: true,
      only: ['team-3/*'],
    });
    expect(shown).toMatch(/^ {2}--repository +team-3\/\*$/m);
    expect(shown.match(/^ {2}[+~] .*build/gm)).toHaveLength(24);
  });

  it('has no findings about others, but those that forbid the plan', () => {
    const routes = ['one', 'two'].map((name) => ({
      source: source(`a.test/${name}`, {old: OLD, v1: image([name])}),
      destination: destination(`b.test/${name}`),
    }));
    const check = {result: 'forbid', subject: 'b.test/two:v1', message: '', hint: ''} as const;
    const whole = copyPlan(routes);
    const checks = [...whole.checks, {...check, code: 'DESTINATION_CONFLICT' as const}];
    expect(partOfPlan({...whole, checks}, ['**/one']).checks.map(({subject}) => subject)).toEqual([
      'a.test/one:old',
      'b.test/two:v1',
    ]);
  });

  it('is refused where nothing matches', () => {
    expect(() => partOfPlan(plan, ['team-3/*', 'nobody/*'])).toThrow(
      'no repository of the plan matches "nobody/*"',
    );
  });
});

describe('groups and projects that a plan creates', () => {
  const at = {gitlab: 'https://gitlab.test', registry: 'registry.acme.example'} as const;
  const steps = createSteps([
    {...at, kind: 'create-group', path: 'acme/team-3', visibility: 'private'},
    {...at, kind: 'create-project', path: 'acme/team-3/service-3', visibility: 'private'},
    {...at, kind: 'create-project', path: 'acme/team-4', visibility: 'internal'},
  ]);
  const creating: CopyPlan = {...plan, steps: [...steps, ...plan.steps]};

  it('are listed before the images', () => {
    const review = renderPlan(creating, 'text');
    expect(review).toMatch(
      /^To create \(3\):\n {2}\+ group +https:\/\/gitlab\.test\/acme\/team-3 +private\n/m,
    );
    expect(review.indexOf('To create')).toBeLessThan(review.indexOf('Repositories ('));
    expect(review).toContain('Plan: 432 images to copy');
  });

  it('are in a part of it if its images go there', () => {
    const part = partOfPlan(creating, ['**/service-3']) as typeof creating;
    expect(part.steps.flatMap((step) => ('path' in step ? [step.path] : []))).toEqual([
      'acme/team-3',
      'acme/team-3/service-3',
    ]);
    expect(part.totals.steps).toBe(12);
  });

  it('are no images in the report of a run', () => {
    const run = {plan: plan.id, bytes: {sent: 0}, blobs: {copied: 0, mounted: 0, present: 0}};
    const ended = creating.steps.map(({id}): StepResult => ({id, outcome: 'done'}));
    expect(renderRun({...run, result: 'done', steps: ended}, creating, 'text')).toContain(
      'Done: 3 of 3 groups and projects created, 432 images copied: 428 new, ',
    );
    const error = {
      code: 'NAME_TAKEN',
      side: 'gitlab',
      retry: false,
      message: 'taken',
      hint: 'rename',
    } as const;
    const failed = ended.with(2, {id: steps[2]?.id ?? '', outcome: 'failed', error});
    const report = renderRun({...run, result: 'failed', steps: failed}, creating, 'text');
    expect(report).toContain(
      'Failed: 1 of 3 groups and projects not created, 0 of 432 images failed, 0 left; ',
    );
    expect(report).toMatch(/^ {2}! create-project:\S+team-4 {2}NAME_TAKEN {2}taken$/m);
  });

  it('make a status count steps', () => {
    expect(planStatus(creating, [])).toMatchObject({unit: 'step', steps: {left: 435}});
    expect(planStatus(plan, [])).toMatchObject({unit: 'image', steps: {left: 432}});
  });
});

describe('a transfer of many images', () => {
  const one = image(['one']);
  const many = Object.fromEntries(
    Array.from({length: 20}, (_, at) => [`1.${19 - at}`, one] as const),
  );
  const transfer = transferPlan(
    transferFacts({repositories: [repository('', many), repository('tools', many)]}),
  );

  it('has a line for each repository', () => {
    const lines = renderPlan(transfer, 'text');
    expect(lines).toMatch(/^Repositories \(2\):\n( {2}\+ .* {2}20 images\n){2}/m);
    expect(lines).toContain('To list all 40 images: transship show PLAN --all');
    const all = renderPlan(transfer, 'text', {full: true});
    expect(all).toMatch(/ \+ 1\.9 .*\n {2}\+ 1\.10 /);
  });

  it('is shown in part', () => {
    const part = partOfPlan(transfer, ['**/tools']);
    const lines = renderPlan(part, 'text', {full: true, only: ['**/tools']});
    expect(lines).toMatch(/^Images \(20\):$/m);
    expect(lines).toContain('20 images to');
    expect(lines).not.toContain('40 images');
  });
});

describe('a plan of many repositories as Markdown', () => {
  const large = planOf(500, 20);
  const markdown = renderPlan(large, 'markdown', {planFile: FILE});

  it('starts with a summary in one line', () => {
    expect(markdown.split('\n')[0]).toMatch(
      /^\*\*Plan: 9000 images to copy: 8950 new, 50 tags move \(.* blobs\), .*\*\*$/,
    );
  });

  it('is smaller than the limit of a comment, and counts omissions', () => {
    expect(Buffer.byteLength(markdown)).toBeLessThan(60_000);
    const shown = [...markdown.matchAll(/^\| `v1\.\d+\./gm)].length;
    const cut = [...markdown.matchAll(/^<summary><code>[^]*?<\/details>/gm)]
      .map(([block]) => Number(/… and (\d+) more/.exec(block)?.[1] ?? 0))
      .reduce((sum, count) => sum + count, 0);
    const [, repositories, images] =
      /^Left out here: (\d+) repositories \((\d+) images\)\. To see all: `transship show acme\.plan\.json --all`$/m.exec(
        markdown,
      ) ?? [];
    const folds = [...markdown.matchAll(/^<summary><code>/gm)].length;
    expect(folds + Number(repositories)).toBe(500);
    expect(shown + cut + Number(images)).toBe(10_000);
    expect(shown).toBeGreaterThan(100);
  });

  it('folds the images by repository, with full digests, sorted by version', () => {
    expect(markdown.match(/<details>/g)?.length).toBe(markdown.match(/<\/details>/g)?.length);
    const [step] = copiesOf(large).filter(({to}) => to === nameOf(0));
    expect(markdown).toContain(`| \`${step?.tag}\` | \`${step?.digest}\` | `);
    expect(markdown).toMatch(/\n\| `v1\.9\..*\n\| `v1\.10\./);
  });

  it('is complete in full output', () => {
    const all = renderPlan(large, 'markdown', {full: true, isUnbounded: true});
    expect(all.match(/^\| `v1\.\d+\./gm)).toHaveLength(10_000);
    expect(all).not.toContain('Left out here');
  });

  it('stays small whatever a wish or a registry says at length', () => {
    const long = 'x'.repeat(50_000);
    const tags = Object.fromEntries(
      Array.from({length: 40}, (_, at) => [`v${at}`, image([String(at)])]),
    );
    const notRead = Array.from({length: 40}, (_, at) => ({
      tag: `${at}${'\u202e@all '.repeat(300)}`,
      reason: 'invalid-name' as const,
      detail: long,
    }));
    const routes = [
      {source: source('a.test/app', tags, [], {notRead}), destination: destination('b.test/app')},
    ];
    const wish = copyPlan(routes, {tags: ['v*', long]});
    expect(Buffer.byteLength(renderPlan(wish, 'markdown'))).toBeLessThan(60_000);
  });
});

/** What GitLab and GitHub make of a word outside code: mentions, references, labels, links, emoji, actions, HTML. */
const HOSTILE = [
  '@all',
  'x@root',
  '#1',
  'group/app#1',
  '!2',
  '~bug',
  '%1.0',
  '$3',
  '&4',
  'ABC-12',
  '/merge',
  ':smile:',
  'https://evil.test/',
  'www.evil.test',
  'a@evil.test',
  '[x](http://evil.test)',
  '![x](y)',
  '[[x]]',
  '<img/src=x>',
  '&#64;all',
  '**bold**',
  '_it_',
  '`@all`',
  '``@all',
  '|@all|',
  '\\@all',
  '$`x`$',
  '0123abcd',
  '(@all)',
  '"@all".',
];

describe('messages of a registry in Markdown', () => {
  it.each(HOSTILE)('are code and nothing else: %s', (word) => {
    const check = {
      code: 'SKIPPED',
      result: 'warn',
      subject: 'a.test/app',
      message: `see ${word} there\n${word}`,
      hint: `ask ${word}`,
    } as const;
    const skip = {reason: 'gone', from: `a.test/${word}`, tag: word, detail: word} as const;
    const some = copyPlan([
      {source: source('a.test/app', {v1: image(['one'])}), destination: destination('b.test/app')},
    ]);
    const markdown = renderPlan(
      {...some, checks: [check], skipped: [skip, {...skip, from: word}]},
      'markdown',
    );
    // By the rules of CommonMark: a run of backticks begins a span that the next run of that length ends.
    const outside = markdown.replace(/(?<!`)(`+)(?!`)[^]*?(?<!`)\1(?!`)/g, 'CODE');
    const own = outside
      .replaceAll(/^#### |<\/?(?:details|summary)>|\*\*/gm, '')
      .replaceAll(/^[-|].*$/gm, (line) => line.replaceAll(/[|-]/g, ' '));
    expect(own).not.toMatch(/[@#!~%$&<>[\]\\`_*/]|\w:\w|:\w+:|\d-\d|[A-Z]-\d|www|0123abcd/);
    expect(markdown.split('\n').every((line) => !line.startsWith('/'))).toBe(true);
  });
});

describe('a plan of many repositories as HTML', () => {
  const html = renderPlan(planOf(60, 12), 'html');

  it('folds the images by repository, and has all of them', () => {
    expect(html.match(/<details class="list"><summary><span class="name"><code>/g)).toHaveLength(
      60,
    );
    expect(html.match(/<td class="short"><code>v1\.\d+\.0-build\.\d+<\/code><\/td>/g)).toHaveLength(
      720,
    );
    expect(html).toContain(`<code>${short(0)} -&gt; ${nameOf(0)}</code>`);
    for (const tag of ['table', 'tr', 'td', 'details', 'section', 'code', 'summary', 'label']) {
      const count = (pattern: string) => html.match(new RegExp(pattern, 'g'))?.length;
      expect([tag, count(`<${tag}[ >]`)]).toEqual([tag, count(`</${tag}>`)]);
    }
  });

  it('has long lists in parts, because a browser lays out complete tables', () => {
    const parts = renderPlan(planOf(1, 1200), 'html').match(/<summary><code>.*?<\/summary>/g);
    expect(parts).toEqual([
      '<summary><code>service-0:v1.0.0-build.1000</code> to <code>service-0:v1.499.0-build.1499</code> (500)</summary>',
      '<summary><code>service-0:v1.500.0-build.1500</code> to <code>service-0:v1.999.0-build.1999</code> (500)</summary>',
      '<summary><code>service-0:v1.1000.0-build.2000</code> to <code>service-0:v1.1199.0-build.2199</code> (200)</summary>',
    ]);
  });

  it('needs no script for full digests', () => {
    expect(html).toMatch(/<code class="digest">sha256:[0-9a-f]{64}<\/code>/);
    expect(html).toContain('.tools:has(#digests:checked) ~ * .digest');
  });

  it('folds a list that is long', () => {
    const tags = Object.fromEntries(
      Array.from({length: 300}, (_, at) => [`v${at}`, image(['one'])]),
    );
    const page = renderPlan(
      copyPlan([{source: source('a.test/app', tags), destination: destination('b.test/app')}]),
      'html',
    );
    expect(page).toContain(
      '<details class="list"><summary><span class="name">To copy</span> (300)</summary>',
    );
  });
});

it('the manual shows a review as it is', async () => {
  const manual = await readFile(new URL('../../docs/reviews.md', import.meta.url), 'utf8');
  const small = planOf(6, 12);
  const review = renderPlan(small, 'text', {planFile: FILE}).replace(small.id, 'sha256:5b1c…');
  expect(manual).toContain(`$ transship show ${FILE}\n${review}`);
});
