import {array, assert, constantFrom, nat, property, string} from 'fast-check';
import {describe, expect, test} from 'vitest';
import {Redactor} from '../../src/http/redaction.ts';

test.each([
  ['as it is', 'so it is pa$$ "w\\ord+é here'],
  ['in a URL', `https://r.test/?p=${encodeURIComponent('pa$$ "w\\ord+é')}&x=1`],
  ['in a form', new URLSearchParams({p: 'pa$$ "w\\ord+é'}).toString()],
  ['in JSON', JSON.stringify({p: 'pa$$ "w\\ord+é'})],
  ['in base64', Buffer.from('pa$$ "w\\ord+é').toString('base64')],
  ['in base64 for URLs', Buffer.from('pa$$ "w\\ord+é').toString('base64url')],
  ['in a header', `Basic ${Buffer.from('me:pa$$ "w\\ord+é').toString('base64')}`],
])('a password is blanked %s', (_, text) => {
  const redactor = new Redactor();
  redactor.learnBasic('me', 'pa$$ "w\\ord+é');
  const redacted = redactor.redact(text);
  expect(redacted).toContain('***');
  expect(redacted).not.toMatch(/rd|pa|cGEk|bWU6/);
});

const TOKEN = 'glpat-/+Tok3n~of mine';
/** Every character of a text as an escape. */
const escaped = (text: string, escape: (hex: string) => string) =>
  Array.from(Buffer.from(text), (byte) => escape(byte.toString(16).padStart(2, '0'))).join('');

test.each([
  ['base64 with other bytes around it', (at: number) => base64(`${'x'.repeat(at)}${TOKEN}yz`)],
  ['base64 for URLs, with other bytes', (at: number) => base64url(`${'?'.repeat(at)}${TOKEN}yz`)],
  [
    'a URL, in lower case',
    () => encodeURIComponent(TOKEN).replaceAll(/%../g, (hex) => hex.toLowerCase()),
  ],
  ['a URL, all of it escaped', () => escaped(TOKEN, (hex) => `%${hex}`)],
  ['a URL in a URL', () => encodeURIComponent(escaped(TOKEN, (hex) => `%${hex}`))],
  ['JSON, all of it escaped', () => `"${escaped(TOKEN, (hex) => String.raw`\u00${hex}`)}"`],
])('a token is blanked in %s', (_, write) => {
  const redactor = new Redactor();
  redactor.learn(TOKEN);
  for (const at of [0, 1, 2]) {
    const redacted = redactor.redact(`got ${write(at)} back`);
    expect(redacted).toMatch(/^got .{0,6}\*\*\*.{0,6} back$/);
    expect(redactor.isClean(write(at))).toBe(false);
  }
});

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

function base64url(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64url');
}

test('what shortening left of a token is blanked', () => {
  const redactor = new Redactor();
  redactor.learn('aaaabaaaac-token');
  expect(redactor.redact('it is aaaabaaaac-toke…, and more')).toBe('it is ***…, and more');
  expect(redactor.redact('aaaabaaaabaaaac-…')).toBe('aaaab***…');
  expect(redactor.redact('`aaaabaaaac-toke`…')).toBe('`***`…');
  expect(redactor.redact('the word aaaa… is none')).toBe('the word aaaa… is none');
});

test.each([
  ['ends of shortened texts', `${'a'.repeat(999)}…`.repeat(2000)],
  ['escapes', '%61'.repeat(700_000)],
  ['escapes of escapes', '%2525'.repeat(400_000)],
  ['words with escapes', 'a%61 '.repeat(400_000)],
])('a text of %s does not take long', (_what, text) => {
  const redactor = new Redactor();
  redactor.learn(`${'a'.repeat(4000)}b`);
  expect(redactor.redact(text).length).toBeGreaterThan(0);
});

test.each([
  [
    'https://s3.test/b?a=1&X-Amz-Signature=abc123&X-Amz-Date=1',
    'https://s3.test/b?a=1&X-Amz-Signature=***&X-Amz-Date=1',
  ],
  ['GET /b?sig=abc%2F1 failed', 'GET /b?sig=*** failed'],
  ['Authorization: Bearer abcdefghijklmnop1234 sent', 'Authorization: Bearer *** sent'],
  ['got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2ln', 'got ***'],
  ['token glpat-abcdefghijklmnopqrst', 'token ***'],
])('what has the form of a secret is blanked without being learned: %s', (text, redacted) => {
  expect(new Redactor().redact(text)).toBe(redacted);
});

test('the rest of the text stays as it is', () => {
  const redactor = new Redactor();
  redactor.learn('secret');
  expect(redactor.redact('a secret, twice secretsecret b')).toBe('a ***, twice *** b');
  expect(redactor.redact('nothing here')).toBe('nothing here');
});

test('secrets that overlap leave no tail', () => {
  const redactor = new Redactor();
  for (const secret of ['abcdef', 'defghi', 'bcde']) redactor.learn(secret);
  expect(redactor.redact('xabcdefghix')).toBe('x***x');
  expect(redactor.redact('xabcdefx')).toBe('x***x');
});

test('what is shorter than four characters is no secret', () => {
  const redactor = new Redactor();
  redactor.learn('the');
  redactor.learn('');
  expect(redactor.redact('the word')).toBe('the word');
});

test('passing tokens are forgotten in the end, lasting secrets never', () => {
  const redactor = new Redactor();
  redactor.learn('lasting-secret');
  redactor.learnShortLived('passing-oldest');
  for (let i = 0; i < 1000; i++) redactor.learnShortLived(`passing-${i}`);
  expect(redactor.redact('lasting-secret passing-999 passing-oldest')).toBe(
    '*** *** passing-oldest',
  );
});

test('a secret never comes through', () => {
  const secret = string({
    minLength: 4,
    maxLength: 12,
    unit: constantFrom('a', 'b', ':', '%'),
  });
  assert(
    property(array(secret, {minLength: 1, maxLength: 4}), array(nat(9)), (secrets, order) => {
      const redactor = new Redactor();
      for (const one of secrets) redactor.learn(one);
      const text = order.map((i) => secrets[i] ?? 'xyz').join('');
      for (const one of secrets) expect(redactor.redact(text)).not.toContain(one);
    }),
  );
});

test('a secret that overlaps itself leaves no tail', () => {
  const redactor = new Redactor();
  for (const secret of ['abcab', 'zzzz']) redactor.learn(secret);
  expect(redactor.redact('xabcabcabx')).toBe('x***x');
  expect(redactor.redact('xabcabcxabcabx')).toBe('x***cx***x');
  expect(redactor.redact(`y${'z'.repeat(300_000)}y`)).toBe('y***y');
});

test('in a large text each place is blanked, wherever it is', () => {
  const redactor = new Redactor();
  redactor.learn('secret');
  // 7 characters each, so that some lie across any boundary.
  expect(redactor.redact('secret,'.repeat(100_000))).toBe('***,'.repeat(100_000));
  const form = 'glpat-abcdefghijklmnopqrst';
  expect(redactor.redact(`${form},`.repeat(20_000))).toBe('***,'.repeat(20_000));
});

function word(minLength: number, maxLength: number) {
  return string({minLength, maxLength, unit: constantFrom('a', 'b')});
}

test('what is blanked is what belongs to a secret, and nothing else', () => {
  assert(
    property(array(word(4, 9), {minLength: 1, maxLength: 4}), word(0, 60), (secrets, text) => {
      const redactor = new Redactor();
      for (const secret of secrets) redactor.learn(secret);
      const isSecret = Array.from({length: text.length}, (_, at) =>
        secrets.some((secret) =>
          Array.from({length: secret.length}, (__, back) => at - back).some(
            (start) => start >= 0 && text.startsWith(secret, start),
          ),
        ),
      );
      const rest = Array.from(text, (char, at) => (isSecret[at] === true ? '*' : char)).join('');
      expect(redactor.redact(text).replace(/\*+/g, '*')).toBe(rest.replace(/\*+/g, '*'));
    }),
  );
});

describe('tokens of registries', () => {
  const tokens = Array.from({length: 600}, (_, n) => `${'a'.repeat(200 + n)}.b`);

  test('are blanked to their end, however many are alike', () => {
    const redactor = new Redactor();
    for (const token of tokens) redactor.learnShortLived(token);
    for (const token of [tokens[100], tokens[599]])
      expect(redactor.redact(`got "${token}" and ${token} back`)).toBe('got "***" and *** back');
    expect(redactor.redact(`a ${'a'.repeat(63)} b`)).toBe(`a ${'a'.repeat(63)} b`);
  });

  test.each([
    ['of one letter', 'a'.repeat(4_000_000), '***'],
    ['of beginnings of a token', 'eyJ-'.repeat(1_000_000), 'eyJ-'.repeat(1_000_000)],
    ['of names of headers', 'Bearer '.repeat(500_000), 'Bearer '.repeat(500_000)],
  ])('do not make a text %s take long', (_what, text, redacted) => {
    const redactor = new Redactor();
    for (const token of tokens) redactor.learnShortLived(token);
    expect(redactor.redact(text) === redacted).toBe(true);
  });
});
