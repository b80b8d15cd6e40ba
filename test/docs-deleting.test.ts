import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {parse} from 'yaml';
import type {RepositoryPath} from '../src/model/reference.ts';
import {startGitLabSandbox} from '../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from './support/fixtures.ts';
import {tempDirectory} from './support/temp.ts';
import {transship} from './support/transship.ts';

const page = await readFile(new URL('../docs/deleting.md', import.meta.url), 'utf8');
const block = /^```yaml\n(.*?)^```/ms.exec(page)?.[1] ?? '';
const [name, job] = Object.entries(parse(block) as Record<string, {script: string[]}>)[0] ?? [];

test.each(['metadata-db', 'legacy'] as const)(
  'the CI job of the page deletes the image of its branch, at GitLab in mode %s',
  async (mode) => {
    await using temp = await tempDirectory();
    const layout = layoutDirectory('busybox');
    await using gitlab = await startGitLabSandbox({
      mode,
      seed: parseSeed({
        users: [{name: 'root', admin: true}, {name: 'ada'}],
        groups: [{path: 'acme', members: {ada: 'developer'}}],
        projects: [
          {
            path: 'acme/app',
            images: ['my-branch', 'main'].map((tag) => ({layout, ref: '1.35', tag})),
          },
        ],
        tokens: [{value: 'job', user: 'ada', kind: 'job', project: 'acme/app'}],
      }),
    });
    const env: Record<string, string> = {
      CI: 'true',
      CI_REGISTRY: gitlab.host,
      CI_REGISTRY_IMAGE: `${gitlab.host}/acme/app`,
      CI_REGISTRY_USER: 'gitlab-ci-token',
      CI_REGISTRY_PASSWORD: 'job',
      CI_COMMIT_REF_SLUG: 'my-branch',
    };
    const run = async (): Promise<void> => {
      for (const command of (job?.script ?? []).flatMap((line) => line.split(' && '))) {
        const args = command
          .replaceAll(/\$(\w+)/g, (_, variable: string) => env[variable] ?? '')
          .replaceAll('"', '')
          .split(/\s+/)
          .slice(1)
          .map((word) => (word.endsWith('.plan.json') ? temp.join(word) : word));
        const {code, stderr} = await transship(args, {env});
        expect({command, code, stderr}).toEqual({command, code: 0, stderr: expect.anything()});
      }
    };
    expect(name).toBe('delete_image');
    await run();
    const path = 'acme/app' as RepositoryPath;
    expect(await gitlab.storage.manifests.tags(path)).toEqual(['main']);
    await run();
  },
);
