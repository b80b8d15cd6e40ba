import {stringify} from 'yaml';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';
import {
  headOf,
  type PipelineJob,
  type PipelineOptions,
  pipelineJobs,
  pipelineName,
} from './pipeline-jobs.ts';

/** What Kubernetes needs to know besides. */
export interface KubernetesOptions extends PipelineOptions {
  /** The container image that has transship, as its entry point. */
  readonly image: string;
  /** The plan as it is in its file. */
  readonly planText: string;
  /** A Secret whose keys become variables of the containers: tokens and logins. */
  readonly secret: string;
  /** A PersistentVolumeClaim for journals, ReadWriteMany where the pods run on several nodes. */
  readonly claim: string;
}

/**
 * Bytes of a plan that a ConfigMap holds: 1 MiB is the limit of the whole object (concepts/configuration/configmap).
 */
const CONFIG_MAP_LIMIT = 1_000_000;
/** Attempts of a shard after the first one. */
const ATTEMPTS = 3;
/** Time that a run has to end when its pod is told to, in seconds. */
const GRACE_SECONDS = 120;
/** Exit codes that another attempt does not change: a check forbids it, drift, wrong usage. */
const FINAL_CODES = [3, 4, 64];

/** The plan as a file of the pods: beside the journals where it does not fit into a ConfigMap. */
export interface KubernetesJobs {
  readonly text: string;
  /** Whether the plan has to be put on the volume of the claim by hand. */
  readonly isPlanOnClaim: boolean;
}

/**
 * A plan as Indexed Jobs of Kubernetes, one for each phase: an index is a shard. The first one starts when it is
 * applied; the others are suspended until somebody resumes them. They hold no secrets: tokens and logins come from a
 * Secret.
 * @throws TransshipError USAGE for names that Kubernetes does not take
 */
export function kubernetesJobs(plan: Plan, options: KubernetesOptions): KubernetesJobs {
  for (const [flag, name] of [
    ['--secret', options.secret],
    ['--claim', options.claim],
  ] as const)
    throwUnlessName(flag, name);
  const name = pipelineName(plan, options);
  const isPlanOnClaim = Buffer.byteLength(options.planText) > CONFIG_MAP_LIMIT;
  const planFile = isPlanOnClaim ? `/journals/${name}.plan.json` : '/plan/plan.json';
  const jobs = pipelineJobs(plan, {...options, planFile});
  const labels = labelsOf(name);
  const objects: object[] = isPlanOnClaim
    ? []
    : [
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: {name, labels},
          immutable: true,
          data: {'plan.json': options.planText},
        },
      ];
  for (const [at, job] of jobs.entries())
    objects.push(jobObject(job, {name, isFirst: at === 0, isPlanOnClaim}, plan, options));
  const text = objects
    .map((object) => stringify(object, {lineWidth: 0, aliasDuplicateObjects: false}))
    .join('---\n');
  return {text: `${headOf(plan, options)}${usage(jobs, name, plan)}${text}`, isPlanOnClaim};
}

/** How the phases follow each other. */
function usage(jobs: readonly PipelineJob[], name: string, plan: Plan): string {
  const lines = jobs.map((job, at) => {
    const before = jobs[at - 1];
    if (before === undefined && !isSuspended(job, true, plan)) return '';
    const wait =
      before === undefined
        ? ''
        : `kubectl wait --for=condition=complete --timeout=-1s job/${name}-${before.name} && `;
    const patch = `kubectl patch job/${name}-${job.name} --type=merge --patch '{"spec":{"suspend":false}}'`;
    return `# To ${job.purpose}: ${wait}${patch}\n`;
  });
  return lines.join('');
}

/** All but the first job wait for the one before; what moves projects, for somebody who has read the plan. */
function isSuspended(job: PipelineJob, isFirst: boolean, plan: Plan): boolean {
  return !isFirst || (plan.kind === 'transfer' && job.isDestructive);
}

function labelsOf(name: string): Readonly<Record<string, string>> {
  return {'app.kubernetes.io/name': 'transship', 'app.kubernetes.io/instance': name};
}

function jobObject(
  job: PipelineJob,
  at: {readonly name: string; readonly isFirst: boolean; readonly isPlanOnClaim: boolean},
  plan: Plan,
  options: KubernetesOptions,
): object {
  const shards = job.isParallel ? options.parallel : 1;
  const {name, isFirst, isPlanOnClaim} = at;
  const labels = labelsOf(name);
  const journal = `/journals/${name}.${job.name}-$(JOB_COMPLETION_INDEX).journal.ndjson`;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {name: `${name}-${job.name}`, labels},
    spec: {
      ...(isSuspended(job, isFirst, plan) ? {suspend: true} : {}),
      completionMode: 'Indexed',
      completions: shards,
      parallelism: shards,
      backoffLimitPerIndex: ATTEMPTS,
      // All shards are tried, whatever becomes of the others.
      maxFailedIndexes: shards,
      activeDeadlineSeconds: job.minutes * 60,
      podFailurePolicy: {
        rules: [
          {action: 'Ignore', onPodConditions: [{type: 'DisruptionTarget', status: 'True'}]},
          {
            action: 'FailIndex',
            onExitCodes: {containerName: 'transship', operator: 'In', values: FINAL_CODES},
          },
        ],
      },
      template: {
        metadata: {labels},
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: GRACE_SECONDS,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65_532,
            fsGroup: 65_532,
            seccompProfile: {type: 'RuntimeDefault'},
          },
          containers: [
            {
              name: 'transship',
              image: options.image,
              args: [
                ...job.args,
                ...(job.isRun ? ['--journal', journal] : []),
                ...(job.name === 'delete' ? ['--undo', `/journals/${name}.undo.ndjson`] : []),
                '--progress',
                'plain',
              ],
              env: [
                {name: 'TRANSSHIP_SHARDS', value: String(shards)},
                {name: 'HOME', value: '/tmp'},
              ],
              envFrom: [{secretRef: {name: options.secret, optional: true}}],
              resources: {
                requests: {cpu: '500m', memory: '256Mi'},
                limits: {memory: '1Gi'},
              },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: {drop: ['ALL']},
              },
              volumeMounts: [
                ...(isPlanOnClaim ? [] : [{name: 'plan', mountPath: '/plan', readOnly: true}]),
                {name: 'journals', mountPath: '/journals'},
                {name: 'tmp', mountPath: '/tmp'},
              ],
            },
          ],
          volumes: [
            ...(isPlanOnClaim ? [] : [{name: 'plan', configMap: {name}}]),
            {name: 'journals', persistentVolumeClaim: {claimName: options.claim}},
            {name: 'tmp', emptyDir: {}},
          ],
        },
      },
    },
  };
}

/** A DNS subdomain name (concepts/overview/working-with-objects/names). */
function throwUnlessName(flag: string, name: string): void {
  if (/^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) return;
  throw new TransshipError(
    'USAGE',
    `${flag} is "${name}", which is no name of an object in Kubernetes`,
    {
      side: 'local',
      hint: 'write lower-case letters, digits, hyphens and dots',
    },
  );
}
