/** `npm run demo`: copies real images between two embedded registries, the way a user would do it by hand. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {show, startSandboxProcess} from './program.ts';

const layouts = fileURLToPath(new URL('../../fixtures/layouts/', import.meta.url));
const directory = await mkdtemp(join(tmpdir(), 'transship-demo-'));

console.log('Two registries: one with images, one that is empty and asks for a login.');
await using source = await startSandboxProcess([
  '--load',
  `team/app=${join(layouts, 'busybox')}`,
  '--load',
  `team/signed=${join(layouts, 'signed')}`,
]);
await using destination = await startSandboxProcess([
  '--auth',
  '--user',
  'demo',
  '--password',
  'demo-password',
]);

const env = {
  ...process.env,
  TRANSSHIP_DESTINATION_USERNAME: 'demo',
  TRANSSHIP_DESTINATION_PASSWORD: 'demo-password',
};
/** What each command has to come to. */
const expected: (readonly [readonly string[], number])[] = [
  [
    [
      'plan',
      'copy',
      `${source.host}/team/app`,
      `${destination.host}/group/project/app`,
      '--out',
      'app.plan.json',
      '--detailed-exitcode',
    ],
    2,
  ],
  [['show', 'app.plan.json', '--format', 'markdown'], 0],
  [['apply', 'app.plan.json', '--progress', 'plain'], 0],
  [['verify', 'app.plan.json'], 0],
  [['status', 'app.plan.json'], 0],
  [['apply', 'app.plan.json', '--progress', 'plain'], 0],
  [
    [
      'copy',
      `${source.host}/team/signed`,
      `${destination.host}/group/project/signed`,
      '--progress',
      'plain',
    ],
    0,
  ],
];
let asExpected = true;
for (const [args, code] of expected) {
  asExpected =
    (await show(directory, {...env, XDG_STATE_HOME: directory}, args)) === code && asExpected;
}
await rm(directory, {recursive: true});
console.log(
  asExpected
    ? '\nEvery image is at its new place, digest for digest, signatures included; applying again changed nothing.'
    : '\nSomething went wrong: see above.',
);
process.exitCode = asExpected ? 0 : 1;
