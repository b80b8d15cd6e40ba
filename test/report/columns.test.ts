import {expect, test} from 'vitest';
import type {ReportDocument} from '../../src/report/document.ts';
import {renderText} from '../../src/report/text.ts';

const IMAGE = 'registry.example.com/team/platform/application:v1';
const DOCUMENT: ReportDocument = {
  title: 'transship plan',
  facts: [],
  sections: [
    {
      heading: 'To copy',
      mark: '+',
      columns: ['Image', 'Digest', 'Why'],
      rows: [
        {
          cells: [IMAGE, 'sha256:0123456789ab', 'not there yet'],
          hint: 'look at it before you apply this',
        },
      ],
    },
  ],
  summary: 'Plan: 1 image to copy (3.4 MiB in 2 blobs), 0 mounted, 12 already there, 0 skipped.',
  everything: 'transship show PLAN --all',
};

test('a text fits a terminal, and breaks between words', () => {
  expect(renderText(DOCUMENT, {columns: 40}).split('\n')).toEqual([
    'transship plan',
    '',
    'To copy (1):',
    // References stay whole, to be copied.
    `  + ${IMAGE}`,
    '      sha256:0123456789ab  not there yet',
    '      look at it before you apply this',
    '',
    'Plan: 1 image to copy (3.4 MiB in 2',
    'blobs), 0 mounted, 12 already there, 0',
    'skipped.',
    '',
  ]);
});

test('a text for a file has lines of any length', () => {
  expect(renderText(DOCUMENT).split('\n')).toContain(
    `  + ${IMAGE}  sha256:0123456789ab  not there yet`,
  );
});
