import type {Examination, Finding} from '../doctor/examination.ts';
import {MATRIX_COLUMNS, matrixRow} from '../doctor/matrix.ts';
import {code, type ReportDocument, type Row, type Section} from './document.ts';
import {renderMarkdown} from './markdown.ts';
import {renderText} from './text.ts';
import {counted, printableJson} from './words.ts';

/** `json` is the examination itself, with its result. */
export type ExaminationFormat = 'text' | 'markdown' | 'json';

const MARKS = {pass: '=', warn: '?', fail: '!'} as const;

/** What was found out about a registry, with a newline at the end. */
export function renderExamination(examination: Examination, format: ExaminationFormat): string {
  const {place, findings} = examination;
  if (format === 'json')
    return `${printableJson({place, result: worstOf(findings), findings}, 2)}\n`;
  const document: ReportDocument = {
    title: 'transship doctor',
    facts: [['registry', place]],
    sections: [
      {
        heading: 'Findings',
        mark: '=',
        columns: ['Result', 'Check', 'Finding'],
        rows: findings.map(rowOf),
        isWhole: true,
      },
      ...(format === 'markdown' ? [matrixSection(examination)] : []),
    ],
    summary: summaryOf(findings),
    everything: '--format json',
  };
  return format === 'text' ? renderText(document) : renderMarkdown(document);
}

/** What was found as a row of the matrix in docs/registries.md. */
function matrixSection({place, findings}: Examination): Section {
  return {
    heading: 'As a row of the matrix of registries',
    mark: '=',
    columns: ['registry', ...MATRIX_COLUMNS.map(([title]) => title)],
    rows: [{mark: '=', cells: [place, ...matrixRow(findings)]}],
    isWhole: true,
  };
}

/** The worst result among them. */
export function worstOf(findings: readonly Finding[]): Finding['result'] {
  return (
    (['fail', 'warn'] as const).find((result) => findings.some((one) => one.result === result)) ??
    'pass'
  );
}

function rowOf({check, result, finding, hint}: Finding): Row {
  return {
    mark: MARKS[result],
    cells: [result, code(check), finding],
    ...(hint === undefined ? {} : {hint}),
  };
}

function summaryOf(findings: readonly Finding[]): string {
  const count = (result: Finding['result']) =>
    findings.filter((one) => one.result === result).length;
  const [failures, warnings] = [count('fail'), count('warn')];
  return `${counted(count('pass'), 'check')} passed, ${counted(warnings, 'warning')}, ${failures} failed.`;
}
