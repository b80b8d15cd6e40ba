import {parseGitLabUrl} from '../../../src/gitlab/connection.ts';
import {GitLab} from '../../../src/gitlab/gitlab.ts';
import {gatherTransferFacts} from '../../../src/gitlab/preflight/gather-facts.ts';
import {gatherGroupFacts} from '../../../src/gitlab/preflight/gather-group.ts';
import {HttpClient} from '../../../src/http/client.ts';
import {parseReference} from '../../../src/model/reference.ts';
import type {TransferPlan} from '../../../src/model/transfer-plan.ts';
import {strangerAmongLayouts} from '../../../src/places/layout-directory.ts';
import {OciLayout} from '../../../src/places/oci-layout.ts';
import {makeTransferPlan, type MoveFacts} from '../../../src/plan/transfer/transfer-plan.ts';
import {Registry} from '../../../src/registry/registry.ts';
import type {GitLabSandbox} from '../../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {NEVER} from '../../support/streams.ts';

/** Of somebody who owns both groups. */
export const TOKEN = 'ada-api';

/** What one process speaks with the sandbox by. @param now its clock */
export function openClients({host, url}: GitLabSandbox, now: () => number = Date.now) {
  const http = new HttpClient({
    retry: {attempts: 2, attemptsAt500: 1, baseMs: 1, capMs: 1, budgetMs: 100},
  });
  const credentials = {kind: 'basic', username: 'ada', password: TOKEN} as const;
  const registry = new Registry({
    host,
    side: 'source',
    http,
    plainHttp: true,
    credentials: () => Promise.resolve(credentials),
    now,
  });
  const layouts = new Map<string, OciLayout>();
  const place = (name: string) => {
    if (!name.startsWith('oci:')) return registry.repository(parseReference(name).path);
    const layout = layouts.get(name) ?? new OciLayout(name.slice('oci:'.length));
    layouts.set(name, layout);
    return layout;
  };
  const gitlab = new GitLab({
    url: parseGitLabUrl(url),
    token: {kind: 'access-token', value: TOKEN},
    http,
    patience: {everyMs: 1, limitMs: 1_000},
  });
  return {gitlab, registry, place, [Symbol.asyncDispose]: () => http[Symbol.asyncDispose]()};
}

export interface PlanOptions {
  /** Where `org/build/app` moves. */
  readonly to?: string;
  readonly staged?: boolean;
  /** Projects that move as well, to `new_org/build/`. */
  readonly others?: readonly string[];
  /** The group `org/build` moves, to `to`, with all projects below it. */
  readonly group?: boolean;
  /** Nobody but owners is to push to the old path. */
  readonly freeze?: boolean;
}

/** Plans the move of `org/build/app`, and perhaps of others. */
export async function makePlan(
  sandbox: GitLabSandbox,
  donor: {readonly kind: 'directory' | 'project'; readonly path: string},
  {
    to = 'new_org/build/renamed',
    staged = true,
    others = [],
    group = false,
    freeze = false,
  }: PlanOptions,
): Promise<TransferPlan> {
  await using clients = openClients(sandbox);
  const {gitlab, registry, place} = clients;
  const wishes = [
    {project: 'org/build/app', to, donor},
    ...others.map((project) => ({project, to: 'new_org/build/', donor})),
  ];
  const surroundings = {
    gitlab,
    tokenKind: 'access-token' as const,
    openRegistry: () => registry,
    openDonor: place,
    freeBytes: () => Promise.resolve(undefined),
    strangerAt: strangerAmongLayouts,
    isJob: false,
    now: () => Date.now(),
    trial: {signal: NEVER},
    progress: () => undefined,
  };
  const question = {staged, freeze, createDonor: true, donorOnThisMachine: false};
  const facts: MoveFacts[] = [];
  const call = {signal: NEVER};
  if (group) {
    const wish = {group: 'org/build', to, donor};
    facts.push(await gatherGroupFacts({wish, ...question}, surroundings, call));
  } else {
    for (const wish of wishes)
      facts.push(await gatherTransferFacts({wish, ...question}, surroundings, call));
  }
  const plan = makeTransferPlan(sandbox.url, facts);
  const forbidden = plan.checks.find(({result}) => result === 'forbid');
  if (forbidden) throw new Error(`the plan is forbidden: ${forbidden.message}`);
  return plan;
}
