import {assert, property, string} from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  formatByteRange,
  nextLink,
  parseContentRange,
  parseLinks,
  parseRetryAfter,
} from '../../src/http/header-fields.ts';
import {redactUrl} from '../../src/http/redaction.ts';

describe('nextLink', () => {
  it.each([
    ['</v2/a/tags/list?last=b&n=2>; rel="next"', '/v2/a/tags/list?last=b&n=2'],
    ['<https://host/v2/a/tags/list?last=b>; rel=next', 'https://host/v2/a/tags/list?last=b'],
    ['</first>; rel="first", </next>; rel="next", </last>; rel="last"', '/next'],
    ['</x?a=1,2;3>; title="a, b; rel=\\"prev\\""; rel="prev next"', '/x?a=1,2;3'],
    ['</x>; REL=NEXT', '/x'],
    ['</x> ; rel = "next"', '/x'],
    // Without a relation, and without brackets, as some registries write it.
    ['</x>', '/x'],
    ['/x; rel="next"', '/x'],
    ['</x; rel="next"', '/x'],
  ])('finds it in %s', (header, target) => {
    expect(nextLink(header)).toBe(target);
  });

  it.each([undefined, '', '</x>; rel="prev"', '/x; rel="prev"', '</x>; rel=prev; rel=next'])(
    'finds none in %s',
    (header) => {
      expect(nextLink(header)).toBeUndefined();
    },
  );

  it('ends, whatever it is given', () => {
    assert(
      property(string({unit: 'binary'}), (header) => {
        expect(parseLinks(header).length).toBeLessThanOrEqual(header.length);
      }),
    );
  });
});

describe('parseContentRange', () => {
  it.each([
    ['bytes 0-9/100', {start: 0, end: 10, total: 100}],
    ['bytes 5-5/6', {start: 5, end: 6, total: 6}],
    ['Bytes 5-9/*', {start: 5, end: 10, total: undefined}],
  ])('reads %s', (header, range) => {
    expect(parseContentRange(header)).toEqual(range);
  });

  it.each([
    undefined,
    '',
    'bytes */100',
    'bytes 9-5/100',
    'bytes 0-100/100',
    'items 0-9/100',
    '0-9/10',
  ])('does not understand %s', (header) => {
    expect(parseContentRange(header)).toBeUndefined();
  });
});

describe('formatByteRange', () => {
  it('counts the last byte in', () => {
    expect(formatByteRange(5, 10)).toBe('bytes=5-9');
    expect(formatByteRange(5)).toBe('bytes=5-');
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');

  it.each([
    ['0', 0],
    ['120', 120_000],
    ['0.5', 500],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
  ])('reads %s', (header, ms) => {
    expect(parseRetryAfter(header, now)).toBe(ms);
  });

  it.each([undefined, '', '-5', 'soon', '1e3'])('does not understand %s', (header) => {
    expect(parseRetryAfter(header, now)).toBeUndefined();
  });
});

describe('redactUrl', () => {
  it('keeps what the API of a registry uses and blanks the rest', () => {
    const url =
      'https://user:secret@storage.example/blob?digest=sha256:ab&X-Amz-Signature=abc&sig=def&sig=ghi#part';
    const redacted = redactUrl(url);
    expect(redacted).not.toMatch(/secret|abc|def|ghi|part|user/);
    expect(redacted).toContain('digest=sha256%3Aab');
    expect(redacted).toContain('X-Amz-Signature=REDACTED');
  });

  it('shows nothing of what is no URL', () => {
    expect(redactUrl('secret')).toBe('(not a URL)');
  });
});
