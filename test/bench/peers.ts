import {type CopyJob, from, isOne, parentOf, to} from './copy-job.ts';
import {type Command, forEachTag, type Tool} from './tool.ts';

/** What peers that take a number get, and how many of the others run at once. */
const MANY = 32;

const crane: Tool = {
  name: 'crane',
  program: 'crane',
  versionArgs: ['version'],
  install: 'go install github.com/google/go-containerregistry/cmd/crane@latest',
  variants: [
    {label: 'crane', kind: 'usual', command: (job) => craneCopy(job, [])},
    // For one image it is the same as any other number above its layers.
    {
      label: 'crane -j 8',
      kind: 'best',
      command: (job) => (isOne(job) ? undefined : craneCopy(job, ['-j', '8'])),
    },
    {
      label: `crane -j ${MANY}`,
      kind: 'best',
      command: (job) => craneCopy(job, ['-j', String(MANY)]),
    },
  ],
};

function craneCopy(job: CopyJob, flags: readonly string[]): Command {
  const all = isOne(job) ? [] : ['--all-tags'];
  return commandOf(['crane', 'copy', ...all, ...flags, from(job), to(job)]);
}

const SKOPEO = ['skopeo', '--insecure-policy'];
const SKOPEO_FLAGS = ['--all', '--src-tls-verify=false', '--dest-tls-verify=false'];

const skopeo: Tool = {
  name: 'skopeo',
  program: 'skopeo',
  versionArgs: ['--version'],
  install: 'apt-get install skopeo',
  variants: [
    {
      label: 'skopeo sync',
      kind: 'usual',
      command(job) {
        if (isOne(job)) return undefined;
        const places = ['--src', 'docker', '--dest', 'docker', from(job), parentOf(to(job))];
        return commandOf([...SKOPEO, 'sync', ...SKOPEO_FLAGS, ...places]);
      },
    },
    {
      label: `skopeo copy, ${MANY} at once`,
      kind: 'best',
      command: (job) => eachOf(job, MANY, [...SKOPEO, 'copy', ...SKOPEO_FLAGS], 'docker://'),
    },
  ],
};

const regctl: Tool = {
  name: 'regctl',
  program: 'regctl',
  versionArgs: ['version', '--format', '{{.VCSTag}}'],
  install: 'go install github.com/regclient/regclient/cmd/regctl@latest',
  variants: [
    {label: 'regctl', kind: 'usual', command: (job) => regctlCopy(job, [], {})},
    {
      label: `regctl, ${MANY} at once`,
      kind: 'best',
      command: (job) => regctlCopy(job, ['--concurrent', String(MANY)], {reqConcurrent: MANY}),
    },
  ],
};

function regctlCopy(job: CopyJob, repositoryFlags: readonly string[], host: object): Command {
  const plain = {...host, tls: 'disabled'};
  const hosts = {[job.source]: plain, [job.destination]: plain};
  return {
    file: 'regctl',
    args: isOne(job)
      ? ['image', 'copy', from(job), to(job)]
      : ['repo', 'copy', ...repositoryFlags, from(job), to(job)],
    settings: {'.regctl/config.json': JSON.stringify({hosts})},
  };
}

const ORAS = ['oras', 'cp', '--recursive', '--no-tty', '--from-plain-http', '--to-plain-http'];

const oras: Tool = {
  name: 'oras',
  program: 'oras',
  versionArgs: ['version'],
  install: 'go install oras.land/oras/cmd/oras@latest',
  variants: [
    {label: 'oras', kind: 'usual', command: (job) => eachOf(job, 1, ORAS)},
    {
      label: `oras, ${MANY} at once`,
      kind: 'best',
      command: (job) => eachOf(job, MANY, [...ORAS, '--concurrency', String(MANY)]),
    },
  ],
};

const CURL_TO_CURL = `
location=$(curl -sSf -X POST -o /dev/null -w '%header{location}' "http://$2/blobs/uploads/")
curl -sSf "http://$1/blobs/$3" | curl -sSf -T - -o /dev/null "$location&digest=$3"`;

const ACCEPT = 'accept: application/vnd.oci.image.manifest.v1+json';

/**
 * What the machine can do: for each blob one curl that reads and one that sends, eight pairs at once; and where there
 * is nothing to do, one curl that knows all tags and asks each side for the digest of each.
 */
const curl: Tool = {
  name: 'curl',
  program: 'curl',
  versionArgs: ['--version'],
  install: 'apt-get install curl',
  variants: [
    {
      label: 'limit: curl to curl, for each blob',
      kind: 'limit',
      command(job) {
        if (!isOne(job)) return undefined;
        const places = [job.source, job.destination].map((host) => `${host}/v2/${job.repository}`);
        const each = ['sh', '-c', CURL_TO_CURL, 'sh', ...places, '{}'];
        return {
          file: 'xargs',
          args: ['-P', '8', '-I', '{}', ...each],
          stdin: job.digests.join('\n'),
        };
      },
    },
    {
      label: `limit: curl asks both sides for each tag, ${MANY} connections each`,
      kind: 'limit',
      command(job) {
        if (!job.isDone) return undefined;
        const manifests = [job.source, job.destination].map(
          (host) => `http://${host}/v2/${job.repository}/manifests/`,
        );
        return {
          file: 'curl',
          args: [
            '-sSf',
            '--head',
            '-H',
            ACCEPT,
            '-Z',
            '--parallel-max',
            String(2 * MANY),
            '-K',
            '-',
          ],
          // In turn, so that as many connections go to one side as to the other.
          stdin: job.tags.flatMap((tag) => manifests.map((url) => `url = ${url}${tag}`)).join('\n'),
        };
      },
    },
  ],
};

/** All that transship is measured beside. */
export const PEERS: readonly Tool[] = [crane, skopeo, regctl, oras, curl];

/** For tools that copy one image only. */
function eachOf(
  job: CopyJob,
  atOnce: number,
  copy: readonly string[],
  transport: '' | 'docker://' = '',
): Command {
  const places = [from(job), to(job)].map((place) => `${transport}${place}`);
  if (isOne(job)) return commandOf([...copy, ...places]);
  return forEachTag(job, atOnce, [...copy, ...places.map((place) => `${place}:{}`)]);
}

function commandOf([file = '', ...args]: readonly string[]): Command {
  return {file, args};
}
