import {writeFile} from 'node:fs/promises';
import {playScenario} from './registry-scenario.ts';

/*
 * Records the responses of GitLab's registry: `npm run record:registry -- HOST REALM FILE`. The registry
 * requires tokens of REALM, which grants `root` with the password `sandbox-root` everything (`startTokenServer`), and
 * allows deletion.
 */
const [host = '', realm = '', file = ''] = process.argv.slice(2);
const observed = await playScenario({host, realm, project: 'org/build/recorded'});
const lines = Object.entries(observed).map(
  ([name, response]) => `${JSON.stringify(name)}: ${JSON.stringify(response)}`,
);
await writeFile(file, `{\n${lines.join(',\n')}\n}\n`);
