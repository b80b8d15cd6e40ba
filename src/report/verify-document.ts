import {nameOf} from '../model/place.ts';
import type {ComparedPlace, VerifyDifference, VerifyResult} from '../model/outcome.ts';
import {AS_JSON, digestCell, type ReportDocument, type Row} from './document.ts';
import {counted} from './words.ts';

/** What differs, by what it is. */
export function verifyDocument({
  plan,
  checked,
  differences,
  transfer,
}: VerifyResult): ReportDocument {
  const {tags, manifests, blobs} = checked;
  const adopted =
    transfer === undefined || transfer.adopted === 0
      ? ''
      : ` (${transfer.adopted} of them added after planning)`;
  const what = `${counted(tags, 'tag')}${adopted}, ${counted(manifests, 'manifest')} and ${counted(blobs, 'blob')}`;
  const outcome =
    differences.length === 0
      ? `${what} are as planned`
      : `${differences.length} of ${tags + manifests + blobs} objects are not as planned (${what})`;
  return {
    title: 'transship verify',
    facts: [
      ['plan', plan],
      ...(transfer === undefined ? [] : [['compared', placeName(transfer)] as const]),
    ],
    sections: [
      {
        heading: 'Different',
        mark: '!',
        columns: ['What', 'Where', 'Planned', 'Found'],
        rows: differences.map(differenceRow),
      },
    ],
    summary:
      transfer === undefined || (transfer.place === 'donor' && transfer.project !== 'between')
        ? `${differences.length === 0 ? 'Verified' : 'Different'}: ${outcome}.`
        : summaryAt(transfer, differences.length === 0, outcome),
    everything: AS_JSON,
  };
}

function summaryAt({project}: ComparedPlace, isSame: boolean, outcome: string): string {
  switch (project) {
    case 'before':
      return `Not moved: the project is still at its old path, where ${outcome}.`;
    case 'between':
      return `Not moved: the project is between its old and its new path; at the donor, ${outcome}.`;
    case 'after':
      return `${isSame ? 'Verified' : 'Different'}: at the new path, ${outcome}.`;
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
