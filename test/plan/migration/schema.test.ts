import {Ajv2020} from 'ajv/dist/2020.js';
import {readdirSync, readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';
import {migrationJsonSchema} from '../../../src/plan/migration/schema.ts';
import {undescribedFields} from '../../support/undescribed-fields.ts';

const PLANS = new URL('../../../plans/', import.meta.url);
const SCHEMA = new URL('migration.schema.json', PLANS);
const read = (name: string): string => readFileSync(new URL(name, PLANS), 'utf8');

describe('the published schema of migration files', () => {
  it('is the one that they are checked with', async () => {
    await expect(`${JSON.stringify(migrationJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      SCHEMA.pathname,
    );
  });

  it('accepts the examples, and refuses unknown keys', () => {
    const ajv = new Ajv2020({strict: true, strictTypes: false});
    const validate = ajv.compile(JSON.parse(read('migration.schema.json')) as object);
    const examples = readdirSync(PLANS).filter((name) =>
      read(name).includes('migration.schema.json\n'),
    );
    expect(examples).toHaveLength(4);
    for (const name of examples) {
      const value = parse(read(name)) as object;
      expect([name, validate(value), validate.errors]).toEqual([name, true, null]);
      expect(validate({...value, rootes: []})).toBe(false);
    }
  });

  it('describes every key', () => {
    expect(undescribedFields(migrationJsonSchema())).toEqual([]);
  });
});
