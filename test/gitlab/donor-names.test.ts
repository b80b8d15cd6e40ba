import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {whyNotImagePath} from '../../src/model/gitlab-naming.ts';
import {donorNames} from '../../src/gitlab/preflight/donor.ts';

const HOST = 'registry.test';
const PROJECT = {id: 12, path: 'App'};
const parking = {kind: 'project', path: 'Donors/Parking', id: 20, namespaceId: 7} as const;
const directory = {kind: 'directory', path: '/donor'} as const;

const component = fc.constantFrom('a', 'b', 'a__b', 'a__b__c', 'a-b', 'p12', 'c'.repeat(60));
const below = fc.array(component, {maxLength: 2}).map((parts) => parts.join('/'));
const names = fc.uniqueArray(below, {minLength: 1, maxLength: 12});

describe('the places of images at the donor', () => {
  it('are two levels below a project at most, in lower case', () => {
    const found = donorNames(parking, HOST, PROJECT, ['', 'tools', 'tools/lint']);
    expect([...found]).toEqual([
      ['', `${HOST}/donors/parking/p12`],
      ['tools', `${HOST}/donors/parking/p12/tools`],
      ['tools/lint', `${HOST}/donors/parking/p12/tools__lint`],
    ]);
  });

  it('are layouts side by side in a directory', () => {
    const found = donorNames(directory, HOST, PROJECT, ['', 'tools/lint']);
    expect([...found.values()]).toEqual(['oci:/donor/app', 'oci:/donor/app.tools__lint']);
  });

  it('are told apart where names meet, and stay the same in every plan', () => {
    const found = donorNames(parking, HOST, PROJECT, ['a/b', 'a__b']);
    expect(found.get('a__b')).toBe(`${HOST}/donors/parking/p12/a__b`);
    expect(found.get('a/b')).toMatch(/\/p12\/a__b-[0-9a-f]{12}$/);
    expect(donorNames(parking, HOST, PROJECT, ['a__b', 'a/b']).get('a/b')).toBe(found.get('a/b'));
  });

  it('are valid, and each of another repository, whatever the names', () => {
    fc.assert(
      fc.property(names, (given) => {
        for (const donor of [parking, directory]) {
          const found = donorNames(donor, HOST, PROJECT, given);
          expect(found.size).toBe(given.length);
          expect(new Set(found.values()).size).toBe(given.length);
        }
        for (const name of donorNames(parking, HOST, PROJECT, given).values())
          expect(whyNotImagePath(name.slice(HOST.length + 1), parking.path)).toBeUndefined();
      }),
    );
  });
});
