import {stringify} from 'yaml';
import {TransshipError} from '../model/error.ts';
import {shortDigest} from '../model/digest.ts';
import type {MovedImage, MovedRepository, References} from '../plan/references.ts';
import {
  AS_JSON,
  code,
  digestCell,
  type ReportDocument,
  type RenderOptions,
  type Section,
} from './document.ts';
import {renderText} from './text.ts';
import {counted, printableJson} from './words.ts';

export const REFERENCE_FORMATS = [
  'table',
  'list',
  'sed',
  'json',
  'kustomize',
  'registries.conf',
  'hosts.toml',
  'idms',
] as const;

export type ReferenceFormat = (typeof REFERENCE_FORMATS)[number];

/**
 * The old and the new names of a plan, for people or for a program.
 * @throws TransshipError USAGE where the format cannot say them
 */
export function renderReferences(
  references: References,
  format: ReferenceFormat,
  options: RenderOptions = {},
): string {
  switch (format) {
    case 'table':
      return renderText(referencesDocument(references), options);
    case 'list':
      return lines(pairsOf(references).map(({from, to}) => `${from} ${to}`));
    case 'sed':
      return sedScript(references);
    case 'json':
      return `${printableJson(jsonOf(references), 2)}\n`;
    case 'kustomize':
      return stringify({
        images: onlyOnce(references).map(({from, to}) => ({name: from, newName: to})),
      });
    case 'registries.conf':
      return onlyOnce(references)
        .map(
          ({from, to}) => `[[registry]]\nprefix = ${tomlText(from)}\nlocation = ${tomlText(to)}\n`,
        )
        .join('\n');
    case 'hosts.toml':
      return hostsToml(references);
    case 'idms':
      return stringify({
        apiVersion: 'config.openshift.io/v1',
        kind: 'ImageDigestMirrorSet',
        metadata: {name: 'transship'},
        spec: {
          imageDigestMirrors: onlyOnce(references).map(({from, to}) => ({
            source: from,
            mirrors: [to],
          })),
        },
      });
  }
}

function referencesDocument({repositories, access}: References): ReportDocument {
  const images = repositories.reduce((sum, one) => sum + one.images.length, 0);
  return {
    title: 'transship refs',
    facts: [],
    sections: [
      ...repositories.map(sectionOf),
      {
        heading: 'Tokens and allowlists',
        mark: '?',
        columns: ['What', 'Do'],
        rows: access.map(({message, hint}) => ({cells: [message, hint]})),
        isWhole: true,
      },
    ],
    summary: `References: ${counted(images, 'image')} in ${counted(repositories.length, 'repository')} get other names.`,
    everything: AS_JSON,
  };
}

function sectionOf({from, to, images: own}: MovedRepository): Section {
  return {
    heading: {code: `${from} -> ${to}`},
    mark: '~',
    columns: ['Old', 'New', 'Digest'],
    rows: own.map((image) => ({
      cells: [
        code(oldName(from, image)),
        code(newName(to, image)),
        image.digest === image.newDigest
          ? digestCell(image.digest)
          : `${shortDigest(image.digest)} -> ${shortDigest(image.newDigest)}`,
      ],
    })),
  };
}

function oldName(from: string, {tag, digest}: MovedImage): string {
  return tag === undefined ? `${from}@${digest}` : `${from}:${tag}`;
}

function newName(to: string, {newTag, newDigest}: MovedImage): string {
  return newTag === undefined ? `${to}@${newDigest}` : `${to}:${newTag}`;
}

/** By tag and by digest, each once. */
function pairsOf({repositories}: References): readonly {from: string; to: string}[] {
  const pairs = new Map<string, {from: string; to: string}>();
  const add = (from: string, to: string): void => void pairs.set(`${from} ${to}`, {from, to});
  for (const {from, to, images} of repositories) {
    for (const image of images)
      if (image.tag !== undefined) add(oldName(from, image), newName(to, image));
    for (const {digest, newDigest} of images) add(`${from}@${digest}`, `${to}@${newDigest}`);
  }
  return [...pairs.values()];
}

/**
 * Repositories as a mapping. Those of transfers by their projects too, so that images which the plan does not know go
 * along.
 * @throws TransshipError USAGE where a source goes to several destinations
 */
function onlyOnce({repositories, prefixes}: References): readonly {from: string; to: string}[] {
  const pairs = new Map<string, string>();
  for (const {from, to} of [...prefixes, ...repositories]) {
    const other = pairs.get(from);
    if (other !== undefined && other !== to) {
      throw new TransshipError('USAGE', `${from} goes to ${other} and to ${to}`, {
        side: 'local',
        hint: 'this format has one new name for each repository: use --format table, list or json',
      });
    }
    pairs.set(from, to);
  }
  return [...pairs].map(([from, to]) => ({from, to}));
}

/**
 * For `sed -E`. A name ends where no longer name could go on, and begins where none has begun; each substitution is
 * there twice, since two references may have one character between them. The longest names come first.
 */
function sedScript(references: References): string {
  const prefixes = new Set(references.prefixes.map(({from}) => from));
  const pairs = onlyOnce(references).toSorted((a, b) => b.from.length - a.from.length);
  const scripts = pairs.flatMap(({from, to}) => {
    const old = from.replaceAll(/[.[\]\\^$*+?(){}|#]/g, '\\$&');
    const end = prefixes.has(from) ? '/:@' : ':@';
    const next = `([${end}]|[^A-Za-z0-9._/-]|[._-]([^A-Za-z0-9._/-]|$)|$)`;
    const line = `s#(^|[^A-Za-z0-9._/@-]|//)${old}${next}#\\1${to.replaceAll(/[\\&#]/g, '\\$&')}\\2#g`;
    return [line, line];
  });
  return `# sed -E -i -f FILE …\n${lines(scripts)}`;
}

function jsonOf({repositories, prefixes, access}: References): object {
  return {repositories, prefixes, access};
}

/**
 * containerd maps hosts, not repositories: all repositories of a host have to be below one prefix of another
 * (containerd: docs/hosts.md, `override_path`).
 * @throws TransshipError USAGE where they are not
 */
function hostsToml({repositories}: References): string {
  const roots = new Map<string, string>();
  for (const {from, to} of repositories) {
    const slash = from.indexOf('/');
    const [host, path] = [from.slice(0, slash), from.slice(slash)];
    const root = to.endsWith(path) ? to.slice(0, -path.length) : undefined;
    if (root === undefined || root === host || (roots.get(host) ?? root) !== root) {
      throw new TransshipError('USAGE', `hosts.toml cannot map ${from} to ${to}`, {
        side: 'local',
        hint: 'containerd maps hosts and keeps the paths of repositories: use registries.conf, or rewrite the references (--format sed, --scan DIR)',
      });
    }
    roots.set(host, root);
  }
  return [...roots]
    .map(([host, root]) => {
      const [mirror = '', ...prefix] = root.split('/');
      const path = prefix.length === 0 ? '' : `/v2/${prefix.join('/')}`;
      return lines([
        `# /etc/containerd/certs.d/${host}/hosts.toml`,
        `server = ${tomlText(`https://${host}`)}`,
        '',
        `[host.${tomlText(`https://${mirror}${path}`)}]`,
        '  capabilities = ["pull", "resolve"]',
        ...(path === '' ? [] : ['  override_path = true']),
      ]);
    })
    .join('\n');
}

/** JSON's strings are TOML's basic strings, as far as names of repositories go. */
function tomlText(text: string): string {
  return JSON.stringify(text);
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('');
}
