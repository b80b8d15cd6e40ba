import {shortDigest} from '../model/digest.ts';
import type {VerifyDifference, VerifyResult} from '../model/outcome.ts';
import type {ReportDocument, Row} from './document.ts';
import {counted} from './words.ts';

/** What differs, by what it is; all of it, since each difference is a fault. */
export function verifyDocument({plan, checked, differences}: VerifyResult): ReportDocument {
  const {tags, manifests, blobs} = checked;
  const what = `${counted(tags, 'tag')}, ${counted(manifests, 'manifest')} and ${counted(blobs, 'blob')}`;
  return {
    title: 'transship verify',
    facts: [['plan', plan]],
    sections: [
      {
        heading: 'Different',
        mark: '!',
        columns: ['What', 'Where', 'Planned', 'Found'],
        rows: differences.map(differenceRow),
      },
    ],
    summary:
      differences.length === 0
        ? `Verified: ${what} are as planned.`
        : `Different: ${differences.length} of ${what} ${differences.length === 1 ? 'is' : 'are'} not as planned.`,
  };
}

function differenceRow({what, repository, tag, digest, actual}: VerifyDifference): Row {
  return {
    cells: [
      what,
      {code: tag === undefined ? repository : `${repository}:${tag}`},
      {code: what === 'tag' ? shortDigest(digest) : digest},
      actual === null ? 'nothing' : {code: shortDigest(actual)},
    ],
  };
}
