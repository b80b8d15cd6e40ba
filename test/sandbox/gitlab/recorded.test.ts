import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {type Observed, playScenario} from './registry-scenario.ts';
import {startRig} from './rig.ts';

/*
 * The sandbox against the recorded responses of GitLab's registry 4.32 (fixtures/gitlab-registry): the oracle of what
 * it says to be. record-registry.ts records them again.
 */

/** What the sandbox answers in another way, with the reason. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  'close with sha512': 'without the database, GitLab stores a blob under both digests',
  'blob by sha512': 'the same',
  referrers: 'the sandbox sends the version of the API also where GitLab has no route',
};

test.each(['legacy', 'metadata-db'] as const)(
  'each response is that of GitLab’s registry: %s',
  async (mode) => {
    const file = new URL(`../../../fixtures/gitlab-registry/${mode}.json`, import.meta.url);
    const recorded = JSON.parse(await readFile(file, 'utf8')) as Record<string, Observed>;
    await using rig = await startRig({
      mode,
      seed: {
        users: [{name: 'root', password: 'sandbox-root', admin: true}],
        projects: [{path: 'org/build/recorded'}],
      },
    });
    const {host, url} = rig;
    const realm = `${url}/jwt/auth`;
    const observed = await playScenario({host, realm, project: 'org/build/recorded'});
    for (const name of Object.keys(DEVIATIONS)) {
      delete recorded[name];
      delete observed[name];
    }
    expect(observed).toEqual(recorded);
  },
);
