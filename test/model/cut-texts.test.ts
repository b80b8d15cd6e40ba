import {array, assert, constantFrom, integer, nat, property, string} from 'fast-check';
import {describe, expect, test} from 'vitest';
import {clipped, cutAt} from '../../src/model/error.ts';

const TOKEN = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.'.split('');

test('no more than 32 characters of a token are left where a text is cut', () => {
  assert(
    property(
      integer({min: 40, max: 600}),
      nat({max: 600}),
      array(constantFrom(...TOKEN), {minLength: 33, maxLength: 1200}),
      string({maxLength: 50}),
      (limit, before, characters, after) => {
        const token = characters.join('');
        const text = `${'words, '.repeat(100).slice(0, before)} ${token} ${after}`;
        const cut = cutAt(text, limit);
        expect(cut.length).toBeLessThanOrEqual(Math.max(limit, text.length) + 1);
        if (cut.includes(token)) return;
        expect(cut).not.toContain(token.slice(0, 33));
      },
    ),
  );
});

describe('a text', () => {
  test('is unchanged up to the limit', () => {
    expect(cutAt('a text', 100)).toBe('a text');
    expect(cutAt('x'.repeat(100), 100)).toBe('x'.repeat(100));
  });

  test('ends at the last word before the limit', () => {
    const text = `${'a word, '.repeat(10)}anotherword and more`;
    expect(cutAt(text, 86)).toBe(`${'a word, '.repeat(10).trim()}…`);
  });

  test('shows the way to what is left out of a URL', () => {
    const url = `https://r.test/v2/app/blobs/uploads/${'f'.repeat(600)}`;
    expect(clipped(`the redirect leads to ${url}`)).toBe(
      'the redirect leads to https://r.test/v2/app/blobs/uploads/…',
    );
  });

  test('shows the beginning of what is one word', () => {
    expect(clipped(`${'x'.repeat(600)} end`)).toBe(`${'x'.repeat(32)}… end`);
  });
});
