import {readFile} from 'node:fs/promises';
import {assert, property, string} from 'fast-check';
import {describe, expect, it} from 'vitest';
import {type Challenge, parseChallenges} from '../../src/http/header-fields.ts';
import {fixture} from '../support/fixtures.ts';

interface Seen {
  readonly from: string;
  readonly header: string;
  readonly challenges: readonly Challenge[];
}

const seen = JSON.parse(await readFile(fixture('http/challenges.json'), 'utf8')) as readonly Seen[];

const quote = (text: string) => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

describe('parseChallenges', () => {
  it.each(seen)('reads what came from $from', ({header, challenges}) => {
    expect(parseChallenges(header)).toEqual(challenges);
  });

  it('finds nothing in nothing', () => {
    expect(parseChallenges(undefined)).toEqual([]);
    expect(parseChallenges(' , ')).toEqual([]);
  });

  it('gives what it has where a quote is never closed', () => {
    expect(parseChallenges('Bearer realm="https://a/token')).toEqual([
      {scheme: 'bearer', parameters: {realm: 'https://a/token'}},
    ]);
  });

  it('reads back any value that was quoted', () => {
    assert(
      property(string(), string(), (realm, scope) => {
        const header = `Bearer realm=${quote(realm)},scope=${quote(scope)}`;
        expect(parseChallenges(header)).toEqual([{scheme: 'bearer', parameters: {realm, scope}}]);
      }),
    );
  });

  it('ends, whatever it is given', () => {
    assert(
      property(string({unit: 'binary'}), (header) => {
        expect(parseChallenges(header).length).toBeLessThanOrEqual(header.length);
      }),
    );
  });
});
