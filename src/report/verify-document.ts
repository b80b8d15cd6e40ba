import {nameOf} from '../model/place.ts';
import type {ComparedPlace, VerifyDifference, VerifyResult} from '../model/outcome.ts';
import {
  AS_JSON,
  digestCell,
  failureSection,
  type ReportDocument,
  type Row,
  shardFacts,
} from './document.ts';
import {counted} from './words.ts';

/** What differs, by what it is. */
export function verifyDocument({
  plan,
  shard,
  checked,
  differences,
  repaired,
  projects = [],
}: VerifyResult): ReportDocument {
  const {tags, manifests, blobs} = checked;
  const adopted = projects.reduce((sum, project) => sum + project.adopted, 0);
  const added = adopted === 0 ? '' : ` (${adopted} of them added after planning)`;
  const what = `${counted(tags, 'tag')}${added}, ${counted(manifests, 'manifest')} and ${counted(blobs, 'blob')}`;
  const outcome =
    differences.length === 0
      ? `${what} are as planned`
      : `${differences.length} of ${tags + manifests + blobs} objects are not as planned (${what})`;
  return {
    title: 'transship verify',
    facts: [
      ['plan', plan],
      ...shardFacts(shard),
      ...projects.map((project) => ['compared', placeName(project)] as const),
    ],
    sections: [
      {
        heading: 'Different',
        mark: '!',
        columns: ['What', 'Where', 'Planned', 'Found'],
        rows: differences.map(differenceRow),
      },
      failureSection(
        'Image',
        (repaired?.failures ?? []).map(({id, error}) => ({
          name: id.replace(/^repair:/, ''),
          error,
        })),
      ),
    ],
    summary: `${summaryOf(projects, differences.length === 0, outcome)}${repairWords(repaired, differences)}`,
    everything: AS_JSON,
  };
}

function repairWords(
  repaired: VerifyResult['repaired'],
  differences: readonly VerifyDifference[],
): string {
  if (repaired === undefined) return '';
  const {images, failures} = repaired;
  const isKept = failures.length === 0 && differences.some(({what}) => what !== 'tag');
  const done = ` ${images - failures.length} of ${counted(images, 'image')} sent again.`;
  // distribution: registry/storage/blobwriter.go, `moveBlob`, does not replace what is stored.
  return isKept
    ? `${done} The registry accepted the content and kept its damaged copy: its administrator has to delete that from the storage, then run the command again.`
    : done;
}

function summaryOf(projects: readonly ComparedPlace[], isSame: boolean, outcome: string): string {
  const verdict = `${isSame ? 'Verified' : 'Different'}: `;
  const [only, ...others] = projects;
  if (only === undefined) return `${verdict}${outcome}.`;
  if (others.length > 0) {
    const left = projects.filter(({project}) => project !== 'after').length;
    const isAtDonor = projects.every(({place}) => place === 'donor');
    if (left === 0 || isAtDonor)
      return `${verdict}${isAtDonor ? '' : 'at the new paths, '}${outcome}.`;
    return `Not moved: ${left} of ${projects.length} projects are not at their new path yet; ${outcome}.`;
  }
  if (only.place === 'donor' && only.project !== 'between') return `${verdict}${outcome}.`;
  switch (only.project) {
    case 'before':
      return `Not moved: the project is still at its old path, where ${outcome}.`;
    case 'between':
      return `Not moved: the project is between its old and its new path; at the donor, ${outcome}.`;
    case 'after':
      return `${verdict}at the new path, ${outcome}.`;
  }
}

function placeName({place, at}: ComparedPlace): string {
  return `the ${place === 'donor' ? 'donor' : `${place === 'old' ? 'old' : 'new'} path`} ${at}`;
}

function differenceRow({what, repository, tag, digest, actual}: VerifyDifference): Row {
  return {
    cells: [
      what,
      {code: nameOf(repository, tag, undefined)},
      what === 'tag' ? digestCell(digest) : {code: digest},
      actual === null ? 'nothing' : digestCell(actual),
    ],
  };
}
