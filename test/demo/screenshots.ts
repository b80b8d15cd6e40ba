import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {runHistory} from '../../src/apply/run-history.ts';
import type {Digest} from '../../src/model/digest.ts';
import type {Manifest} from '../../src/model/manifest.ts';
import type {Plan} from '../../src/model/plan.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {policyChecks} from '../../src/plan/policy/policy-checks.ts';
import {readPolicy} from '../../src/plan/policy/policy.ts';
import {renderPlan, type ReviewOptions} from '../../src/report/plan-document.ts';
import type {SeedInput} from '../../src/sandbox/gitlab/seed.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {openPage} from '../support/chromium.ts';
import {provideTool} from '../support/debian-tool.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';
import {shardJournals} from '../support/run-journals.ts';
import {tempDirectory} from '../support/temp.ts';
import {runProgram} from '../support/program.ts';

/**
 * Reviews of plans of all kinds, as pages with their pictures in Chromium at two widths and in both colour schemes, and
 * as Markdown: `npm run screenshots [-- DIRECTORY [NAME…]]`.
 */

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const [directory = 'screenshots', ...names] = process.argv.slice(2);
await mkdir(directory, {recursive: true});
await provideTool('chromium');

/** Something of everything: new, moved, there already. */
function partlyThere(
  _repository: number,
  tags: Readonly<Record<string, Manifest>>,
): Record<string, Digest> {
  const {'v1.2.0-build.1002': there, 'v1.3.0-build.1003': other} = tags;
  if (there === undefined || other === undefined) return {};
  return {
    'v1.2.0-build.1002': there.descriptor.digest,
    'v1.4.0-build.1004': other.descriptor.digest,
  };
}

const small = largePlan(largeRoutes(1, 8, partlyThere));
const large = largePlan(
  largeRoutes(60, 12, (repository, tags) =>
    repository % 7 > 0 ? {} : partlyThere(repository, tags),
  ),
);
const limits = ['version: 1', 'maxImages: 500', 'maxBytes: 10KiB', 'requireSignature: true'];
const policy = readPolicy(limits.join('\n'), 'plans/limits.yaml');

const seed: SeedInput = {
  users: [{name: 'ada'}, {name: 'dev'}],
  groups: [
    {path: 'org/build', members: {ada: 'owner', dev: 'maintainer'}},
    {path: 'new_org', members: {ada: 'owner'}},
    {path: 'donors', members: {ada: 'maintainer'}},
  ],
  projects: [
    ...Array.from({length: 30}, (_, at) => ({
      path: `org/build/${at % 3 === 0 ? 'platform/' : ''}service-${at + 1}`,
      images: [
        {layout: layoutDirectory('layered')},
        {name: 'tools/lint', layout: layoutDirectory('busybox')},
      ],
    })),
    {path: 'donors/parking'},
  ],
  tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
};

/** Plans that the command line makes of a GitLab: a project, a group of 30 projects, and what is to be deleted. */
async function plansOfGitLab(): Promise<Readonly<Record<string, Plan>>> {
  await using rig = await startRig({mode: 'legacy', seed});
  await using temp = await tempDirectory();
  const make = async (name: string, ...words: readonly string[]): Promise<Plan> => {
    const file = temp.join(`${name}.plan.json`);
    const args = [MAIN, 'plan', ...words, '--gitlab', rig.url, '--out', file];
    const env = {GITLAB_TOKEN: 'ada-api', HOME: temp.path};
    const run = await runProgram(process.execPath, args, {env});
    if (run.code !== 0 && run.code !== 3) throw new Error(run.stderr);
    return parsePlan(await readFile(file), file);
  };
  const donor = ['--to', 'new_org/', '--donor', 'donors/parking'];
  return {
    transfer: await make('transfer', 'transfer', 'org/build/service-2', ...donor),
    group: await make('group', 'transfer', '--group', 'org/build', ...donor),
    refused: await make(
      'refused',
      'transfer',
      'org/build/service-2',
      '--to',
      'new_org/a--b',
      ...donor.slice(2),
    ),
    delete: await make(
      'delete',
      'delete',
      `${rig.host}/org/build`,
      '--recursive',
      '--keep-newest',
      '5',
      '--keep',
      'latest',
    ),
  };
}

const plans: Readonly<Record<string, {readonly plan: Plan; readonly options?: ReviewOptions}>> = {
  small: {plan: small},
  large: {plan: large},
  forbidden: {plan: {...large, checks: [...large.checks, ...policyChecks(large, policy)]}},
  run: {plan: large, options: {history: runHistory(large, shardJournals(large, 4))}},
  ...Object.fromEntries(
    Object.entries(await plansOfGitLab()).map(([name, plan]) => [name, {plan}]),
  ),
};
for (const [name, {plan, options}] of Object.entries(plans)) {
  if (names.length > 0 && !names.includes(name)) continue;
  const all = {planFile: 'acme.plan.json', ...options};
  const file = join(directory, `${name}.html`);
  await writeFile(file, renderPlan(plan, 'html', all));
  await writeFile(join(directory, `${name}.md`), renderPlan(plan, 'markdown', all));
  await using page = await openPage(file);
  for (const width of [390, 1280]) {
    for (const scheme of ['light', 'dark'] as const) {
      await page.look(width, scheme);
      const picture = join(directory, `${name}-${width}-${scheme}.png`);
      await writeFile(picture, await page.screenshot(2000));
      process.stdout.write(`${picture}\n`);
    }
  }
}
