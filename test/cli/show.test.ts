import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import {serializePlan} from '../../src/plan/plan-file.ts';
import {MAIN} from '../support/cli.ts';
import {toldError} from '../support/error-lines.ts';
import {largePlan, largeRoutes, SOURCE, TARGET} from '../support/large-plan.ts';
import {runProgram} from '../support/program.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

let temp: TempDirectory;
/** A plan of 60 repositories with 20 tags each. */
let file: string;

beforeAll(async () => {
  temp = await tempDirectory();
  file = await planFile(60);
});
afterAll(async () => await temp[Symbol.asyncDispose]());

async function planFile(repositories: number): Promise<string> {
  const path = temp.join(`${repositories}.plan.json`);
  await writeFile(path, serializePlan(largePlan(largeRoutes(repositories, 20, () => ({})))));
  return path;
}

describe('show', () => {
  it('needs no more than 200 MiB for 500 repositories and 10,000 tags', async () => {
    const large = await planFile(500);
    for (const format of ['markdown', 'json']) {
      const args = ['--max-old-space-size=200', MAIN, 'show', large, '--format', format];
      const run = await runProgram(process.execPath, args, {env: {HOME: temp.path}});
      expect(run).toMatchObject({code: 0, stderr: ''});
      expect(run.stdout).toContain(`${SOURCE}/team-0/service-0`);
    }
  });

  it('names the command that shows the omitted part, which works', async () => {
    const {stdout} = await transship(['show', file]);
    expect(stdout).toContain(`\nTo list all 1200 images: transship show ${file} --all\n`);
    const all = await transship(['show', file, '--all']);
    expect(all.stdout.match(/^ {2}\+ v1\.\d+\.0-build/gm)).toHaveLength(1200);
  });

  it('shows some repositories completely, by several globs', async () => {
    const globs = ['--repository', '**/service-7', '--repository', `${TARGET}/team-9/*`];
    const {stdout} = await transship(['show', file, ...globs, '--format', 'json']);
    const {routes, steps, totals} = JSON.parse(stdout) as CopyPlan;
    expect(routes).toHaveLength(4);
    expect([steps.length, totals.steps]).toEqual([80, 80]);
    const text = await transship(['show', file, ...globs]);
    expect(text.stdout.match(/^ {2}\+ v1\.\d+\.0-build/gm)).toHaveLength(80);
  });

  it('refuses a glob that matches no repository', async () => {
    const run = await transship(['show', file, '--repository', 'nobody/**']);
    expect(toldError(run)).toMatchObject({code: 'FILTER_INVALID', exit: 64});
    expect(run.stderr).toContain('"nobody/**"');
  });
});
