import {describe, expect, test} from 'vitest';
import {JsonError, type JsonLimits, parseJson, readJson} from '../../src/model/json.ts';
import {list, texts, z} from '../../src/model/schema.ts';

const LIMITS: JsonLimits = {size: 1000, depth: 4, values: 10};

function refusalOf(text: string | Uint8Array, limits = LIMITS): string {
  try {
    parseJson(text, limits);
  } catch (error) {
    if (error instanceof JsonError) return error.message;
    throw error;
  }
  return 'none';
}

describe('JSON from outside', () => {
  test.each([
    ['at its limits', '[[[[]]],1,2,3,4,5]', 'none'],
    ['nested too deep', '{"a":[{"b":[[]]}]}', 'is nested deeper than 4 levels'],
    ['too many values', '[1,2,3,4,5,6,7,8,9,10,11]', 'has more than 10 values'],
    ['too many objects', '[[],[],[],[],[],[]]', 'has more than 10 values'],
    ['too large', `"${'x'.repeat(1000)}"`, 'is larger than 1000 bytes'],
    ['cut', '{"a":', 'is not JSON'],
    ['a string without an end', '"abc\\', 'is not JSON'],
    ['closed more often than opened', ']]]]]]]][[[[[[[[', 'is not JSON'],
    ['brackets and commas in strings', '["[[[[[[{{{{,,,,,,,,,,,,","\\"[[[[[\\\\"]', 'none'],
  ])('%s', (_what, text, why) => {
    expect(refusalOf(text)).toBe(why);
    expect(refusalOf(Buffer.from(text))).toBe(why);
  });

  test('bytes that are not UTF-8', () => {
    expect(refusalOf(Uint8Array.of(0x22, 0xff, 0x22))).toBe('is not JSON');
  });

  test('an error quotes nothing of it', () => {
    expect(refusalOf('{"password": secret}')).toBe('is not JSON');
  });

  test('is read as it is', () => {
    expect(parseJson('{"ä": ["\\u00e4", null, 1e3]}')).toEqual({ä: ['ä', null, 1000]});
  });

  test('that has another form, or none, is not there', () => {
    const schema = z.object({a: z.string()});
    expect(readJson('{"a": "b"}', schema)).toEqual({a: 'b'});
    expect(readJson('{"a": 1}', schema)).toBeUndefined();
    expect(readJson('{"a"', schema)).toBeUndefined();
  });
});

describe('a list of a million wrong items', () => {
  test('has one issue, at the first', () => {
    const schema = z.object({items: list(z.object({name: z.string()}))});
    const items = [{name: 'good'}, ...Array.from({length: 1_000_000}, () => 1)];
    const {error} = schema.safeParse({items});
    expect(error?.issues).toMatchObject([{path: ['items', 1]}]);
  });

  test('may be caught like any other', () => {
    const schema = z.object({notes: texts().optional().catch(undefined)});
    const notes = Object.fromEntries(Array.from({length: 200_000}, (_, key) => [key, key]));
    expect(schema.parse({notes})).toEqual({});
    expect(schema.parse({notes: {a: 'b'}})).toEqual({notes: {a: 'b'}});
  });
});
