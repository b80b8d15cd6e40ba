import {copiesOf} from '../../src/model/plan.ts';
import {Ajv2020} from 'ajv/dist/2020.js';
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import {parsePlan, planId, planJsonSchema, serializePlan} from '../../src/plan/plan-file.ts';
import {LAYOUTS} from '../support/fixtures.ts';
import {destination, image, layoutSource} from '../support/inventories.ts';
import {copyPlan, identified} from '../support/plan-files.ts';
import {repository, transferFacts, transferPlan} from '../support/transfer-facts.ts';
import {undescribedFields} from '../support/undescribed-fields.ts';

const SCHEMA = new URL('../../plans/plan.schema.json', import.meta.url);

/** A plan with something of everything. */
const plan = copyPlan(
  LAYOUTS.map((layout) => {
    const source = layoutSource(layout, `a.test/${layout}`, {attach: layout === 'signed'});
    const there = source.roots.slice(0, 1).flatMap(({tag, digest}) => (tag ? [[tag, digest]] : []));
    const to = destination(`b.test/${layout.slice(0, 2)}`, Object.fromEntries(there));
    return {source, destination: to};
  }),
  {tags: ['*'], newest: 20, rename: [{pattern: 'release-(.*)', replacement: 'v$1'}]},
  {at: {file: 'plans/all.yaml', line: 7, column: 5}},
);

/** One of the other kind, with every kind of step. */
const transfer = transferPlan(
  transferFacts({
    project: {policy: {enabled: true, keep_n: 5, name_regex: null}},
    target: {fullPath: 'new_org/build/tool', path: 'tool'},
    repositories: [
      repository('', {v1: image(['a', 'b'])}, {to: 'registry.test/new_org/build/tool'}),
    ],
  }),
);

type Json = null | boolean | number | string | Json[] | {[key: string]: Json};
type File = Record<string, Json>;

const fileOf = (one: typeof plan | typeof transfer): File => JSON.parse(serializePlan(one)) as File;
const kinds = [
  ['copy', plan],
  ['transfer', transfer],
] as const;

describe('a plan file', () => {
  it.each(kinds)('of a %s returns the plan that was written', (_kind, whole) => {
    expect(parsePlan(serializePlan(whole), 'plan.json')).toEqual(whole);
  });

  it('begins with format and id, and has a line for each record', () => {
    const lines = serializePlan(plan).split('\n');
    expect(lines.slice(0, 3)).toEqual(['{', '"format":2,', `"id":"${plan.id}",`]);
    expect(lines.at(-1)).toBe('');
    const records = ['repositories', 'routes', 'blobs', 'manifests', 'copies'].flatMap(
      (table) => fileOf(plan)[table] as Json[],
    );
    const text = new Set(lines.map((line) => line.replace(/,$/, '')));
    expect(records.filter((record) => !text.has(JSON.stringify(record)))).toEqual([]);
    const move = serializePlan(transfer);
    expect(Math.max(...move.split('\n').map(({length}) => length))).toBeLessThan(600);
  });

  it.each(kinds)('of a %s has the digest of the rest as its id', (_kind, whole) => {
    expect(identified(fileOf(whole))).toMatchObject({id: whole.id});
    expect(planId(whole)).toBe(whole.id);
  });

  it('keeps its id whatever the order of its fields', () => {
    expect(parsePlan(JSON.stringify(reversed(fileOf(plan))), 'plan.json')).toEqual(plan);
  });

  it.each(kinds)('does not hide an edit of a %s', (_kind, whole) => {
    let edits = 0;
    for (const edited of everyEdit(fileOf(whole))) {
      edits++;
      expect(() => parsePlan(JSON.stringify(edited), 'plan.json')).toThrow(
        expect.objectContaining({
          code: expect.stringMatching(/^PLAN_(?:EDITED|INVALID|FORMAT_NEWER)$/),
        }),
      );
    }
    expect(edits).toBeGreaterThan(100);
  });

  it.each<[string, string, string]>([
    ['no JSON', '{"format": 2,', 'PLAN_INVALID'],
    ['no plan', '[]', 'PLAN_INVALID'],
    ['a newer format', JSON.stringify({...fileOf(plan), format: 3}), 'PLAN_FORMAT_NEWER'],
    ['an older format', JSON.stringify({format: 1, kind: 'copy'}), 'PLAN_FORMAT_OLD'],
    ['an unknown field', JSON.stringify({...fileOf(plan), news: true}), 'PLAN_INVALID'],
    ['what --format json prints', JSON.stringify(plan), 'PLAN_INVALID'],
    ['another id', JSON.stringify({...fileOf(plan), id: copiesOf(plan)[0]?.digest}), 'PLAN_EDITED'],
  ])('refuses %s', (_what, text, code) => {
    expect(() => parsePlan(text, 'some/plan.json')).toThrow(
      expect.objectContaining({
        code,
        side: 'local',
        message: expect.stringContaining('some/plan.json'),
      }),
    );
  });

  it('reports the place of an error', () => {
    const broken = {...fileOf(plan), copies: [{route: 0, manifest: 0, replaces: 'latest'}]};
    expect(() => parsePlan(JSON.stringify(broken), 'plan.json')).toThrow(/copies\.0\.replaces/);
  });
});

describe('the published schema', () => {
  it('is the one that plans are checked with', async () => {
    await expect(`${JSON.stringify(planJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      SCHEMA.pathname,
    );
  });

  it('accepts plans and refuses others', () => {
    const ajv = new Ajv2020({strict: true, strictTypes: false, strictTuples: false});
    const validate = ajv.compile(JSON.parse(readFileSync(SCHEMA, 'utf8')) as object);
    const check = (value: unknown) => validate(JSON.parse(JSON.stringify(value)));
    const [copies, moves] = [fileOf(plan), fileOf(transfer)];
    expect([check(copies), validate.errors]).toEqual([true, null]);
    expect([check(moves), validate.errors]).toEqual([true, null]);
    expect(check({...moves, groups: []})).toBe(false);
    expect(check({...copies, kind: 'transfer'})).toBe(false);
    expect(check({...copies, news: true})).toBe(false);
    expect(check({...copies, id: 'sha256:1'})).toBe(false);
    expect(check({...copies, copies: [{route: 0}]})).toBe(false);
    expect(check({...copies, blobs: [['sha256:1', 0, 0]]})).toBe(false);
    expect(check({...copies, routes: [[0, 0]]})).toBe(false);
  });

  it('describes every field', () => {
    expect(undescribedFields(planJsonSchema())).toEqual([]);
  });
});

function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, child]) => [key, reversed(child)]),
  );
}

/** The value again and again, each time with one of its values changed or one of its items removed. */
function* everyEdit(value: Json): Generator<Json> {
  if (typeof value === 'string')
    yield value === '' ? 'x' : value.replace(/.$/s, (last) => (last === '0' ? '1' : '0'));
  else if (typeof value === 'number') yield value + 1;
  else if (value === null) yield 'x';
  else if (Array.isArray(value)) {
    // The first items of a long list stand for the others.
    for (const [at, child] of value.slice(0, 3).entries()) {
      yield value.toSpliced(at, 1);
      for (const edited of everyEdit(child)) yield value.with(at, edited);
    }
  } else if (typeof value === 'object') {
    for (const [key, child] of Object.entries(value)) {
      for (const edited of everyEdit(child)) yield {...value, [key]: edited};
    }
  }
}
