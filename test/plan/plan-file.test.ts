import {Ajv2020} from 'ajv/dist/2020.js';
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import type {Plan} from '../../src/model/plan.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {parsePlan, planId, planJsonSchema, serializePlan} from '../../src/plan/plan-file.ts';
import {LAYOUTS} from '../support/fixtures.ts';
import {makeTransferPlan} from '../../src/plan/transfer/transfer-plan.ts';
import {destination, layoutSource} from '../support/inventories.ts';
import {transferFacts} from '../support/transfer-facts.ts';

const SCHEMA = new URL('../../plans/plan.schema.json', import.meta.url);
const wish = {source: 'a.test/x', destination: 'b.test/x', filters: {tags: ['*'], newest: 20}};

/** A plan with something of everything. */
const plan = makeCopyPlan({
  wish,
  routes: LAYOUTS.map((layout) => {
    const source = layoutSource(layout, `a.test/${layout}`, {attach: layout === 'signed'});
    const there = source.roots.slice(0, 1).flatMap(({tag, digest}) => (tag ? [[tag, digest]] : []));
    const to = destination(`b.test/${layout.slice(0, 2)}`, Object.fromEntries(there));
    return {source, destination: to};
  }),
});

/** One of the other kind, with every kind of step. */
const transfer = makeTransferPlan(
  transferFacts({
    project: {policy: {enabled: true, keep_n: 5, name_regex: null}},
    target: {fullPath: 'new_org/build/tool', path: 'tool'},
  }),
);

type Json = null | boolean | number | string | Json[] | {[key: string]: Json};

describe('a plan file', () => {
  it('is indented JSON with the fields in the order of the schema', () => {
    const text = serializePlan(plan);
    expect(text.endsWith('}\n')).toBe(true);
    expect(text.startsWith('{\n  "format": 1,\n  "id": "sha256:')).toBe(true);
    const {id, format, ...others} = plan;
    expect(serializePlan({...others, format, id})).toBe(text);
    expect(parsePlan(text, 'plan.json')).toEqual(plan);
  });

  it('keeps its id whatever the order of its fields', () => {
    expect(planId(reversed(plan as unknown as Json) as unknown as Plan)).toBe(plan.id);
    expect(parsePlan(JSON.stringify(reversed(plan as unknown as Json)), 'plan.json').id).toBe(
      plan.id,
    );
  });

  it.each([
    ['copy', plan],
    ['transfer', transfer],
  ])('does not hide an edit of a %s', (_kind, whole) => {
    let edits = 0;
    for (const edited of everyEdit(whole as unknown as Json)) {
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
    ['no JSON', '{"format": 1,', 'PLAN_INVALID'],
    ['no plan', '[]', 'PLAN_INVALID'],
    ['a newer format', JSON.stringify({...plan, format: 2, news: true}), 'PLAN_FORMAT_NEWER'],
    ['an unknown field', JSON.stringify({...plan, news: true}), 'PLAN_INVALID'],
    ['another id', JSON.stringify({...plan, id: plan.steps[0]?.digest}), 'PLAN_EDITED'],
  ])('refuses %s', (_what, text, code) => {
    expect(() => parsePlan(text, 'some/plan.json')).toThrow(
      expect.objectContaining({
        code,
        side: 'local',
        message: expect.stringContaining('some/plan.json'),
      }),
    );
  });

  it('says where it is wrong', () => {
    const [first, ...steps] = plan.steps;
    const broken = {...plan, steps: [{...first, replaces: 'latest'}, ...steps]};
    expect(() => parsePlan(JSON.stringify(broken), 'plan.json')).toThrow(/steps\.0\.replaces/);
  });
});

describe('the published schema', () => {
  it('is the one that plans are checked with', async () => {
    await expect(`${JSON.stringify(planJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      SCHEMA.pathname,
    );
  });

  it('accepts plans and refuses others', () => {
    const ajv = new Ajv2020({strict: true, strictTypes: false});
    const validate = ajv.compile(JSON.parse(readFileSync(SCHEMA, 'utf8')) as object);
    const check = (value: unknown) => validate(JSON.parse(JSON.stringify(value)));
    expect([check(plan), validate.errors]).toEqual([true, null]);
    expect([check(transfer), validate.errors]).toEqual([true, null]);
    expect(check({...transfer, way: 'by sea'})).toBe(false);
    expect(check({...plan, kind: 'transfer'})).toBe(false);
    expect(check({...plan, news: true})).toBe(false);
    expect(check({...plan, id: 'sha256:1'})).toBe(false);
    expect(check({...plan, steps: [{...plan.steps[0], manifests: []}]})).toBe(false);
  });

  it('describes every field', () => {
    const silent: string[] = [];
    const visit = (value: unknown, path: string) => {
      if (typeof value !== 'object' || value === null) return;
      for (const [key, child] of Object.entries(value)) {
        if (key === 'properties') {
          for (const [name, field] of Object.entries(
            child as Record<string, {description?: string}>,
          )) {
            if (!field.description) silent.push(`${path}.${name}`);
          }
        }
        visit(child, `${path}.${key}`);
      }
    };
    visit(planJsonSchema(), '');
    expect(silent).toEqual([]);
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
