/**
 * `npm run demo:transfer`: moves the project of GitLab's own example with its image, is killed half-way, goes on, and
 * shows from what the instance wrote down that the image was never gone.
 */
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {gaps, type LoggedEvent} from '../../src/sandbox/gitlab/event-log.ts';
import {show, showUntil, startSandboxProcess} from './program.ts';

const seed = fileURLToPath(new URL('../../plans/sandbox.yaml', import.meta.url));
const directory = await mkdtemp(join(tmpdir(), 'transship-demo-'));
const eventFile = join(directory, 'events.ndjson');
const env = {...process.env, GITLAB_TOKEN: 'sandbox-owner', XDG_STATE_HOME: directory};

console.log('A GitLab-like instance whose registry cannot move images by itself.');
let asExpected = true;
const expect = (isAsExpected: boolean): void => {
  asExpected &&= isAsExpected;
};
/** The first manifest for the new path waits, so that the run cannot be over before it is killed. */
const faults: readonly FaultRuleInput[] = [
  {
    method: 'PUT',
    about: 'manifest',
    path: 'new_org/',
    fault: {kind: 'stall', body: 'request', after: 0, gate: 'never'},
  },
];
const faultFile = join(directory, 'faults.json');
await writeFile(faultFile, JSON.stringify(faults));
{
  await using gitlab = await startSandboxProcess([
    '--gitlab',
    '--seed',
    seed,
    '--mode',
    'legacy',
    '--events',
    eventFile,
    '--faults',
    faultFile,
  ]);
  const plan = ['plan', 'transfer', 'org/build/sample_project'];
  const to = ['--to', 'new_org/build/new_sample_project', '--gitlab', `http://${gitlab.host}`];
  const donor = ['--donor', 'donors/parking', '--create-donor'];
  expect((await show(directory, env, [...plan, ...to, ...donor, '--out', 'move.plan.json'])) === 0);
  expect((await show(directory, env, ['show', 'move.plan.json'])) === 0);
  const apply = ['apply', 'move.plan.json', '--yes', '--progress', 'json'];
  console.log('\nThe run is killed once the old path is empty:');
  expect(await showUntil(directory, env, apply, /"step":"delete-old","outcome":"done"/));
  expect((await show(directory, env, ['status', 'move.plan.json'])) === 0);
  console.log('\nApplied again, it goes on:');
  expect((await show(directory, env, ['apply', 'move.plan.json', '--yes'])) === 0);
  expect((await show(directory, env, ['verify', 'move.plan.json'])) === 0);
  expect(
    (await show(directory, env, ['apply', 'move.plan.json', '--yes', '--remove-donor'])) === 0,
  );
}
const lines = (await readFile(eventFile, 'utf8')).trimEnd().split('\n');
const events = lines.map((line) => JSON.parse(line) as LoggedEvent);
console.log(`\nWhat the instance wrote down:\n${events.map(eventLine).join('\n')}`);
const lost = gaps(events);
const moved = events.some(({kind}) => kind === 'project-moved');
await rm(directory, {recursive: true});
asExpected &&= lost.length === 0 && moved;
console.log(
  asExpected
    ? '\nThe event log shows every image held by at least one place at every moment.'
    : `\nSomething went wrong: see above. Images without a place: ${JSON.stringify(lost)}`,
);
process.exitCode = asExpected ? 0 : 1;

function eventLine({seq, at: _at, by: _by, kind, ...rest}: LoggedEvent): string {
  const values = Object.values(rest).map(String);
  return `  ${String(seq).padStart(3)} ${kind.padEnd(17)} ${values.join(' ')}`;
}
