import type {DeltaEntry, SourceDelta} from '../plan/source-delta.ts';
import {type Cell, digestCell, type RenderOptions, type ReportDocument} from './document.ts';
import {renderMarkdown} from './markdown.ts';
import {renderText} from './text.ts';
import {counted, imageName, printableJson} from './words.ts';

/** What changed at the sources since an earlier plan. `json` is the delta itself: its fields are a contract. */
export function renderDelta(
  delta: SourceDelta,
  format: 'text' | 'markdown' | 'json',
  options: RenderOptions = {},
): string {
  if (format === 'json') return `${printableJson(delta, 2)}\n`;
  const document = deltaDocument(delta);
  return format === 'text' ? renderText(document, options) : renderMarkdown(document, options);
}

function deltaDocument({since, added, moved, removed}: SourceDelta): ReportDocument {
  const changes = added.length + moved.length + removed.length;
  return {
    title: 'Changes at the source',
    facts: [['since', since]],
    sections: [
      {
        heading: 'Removed',
        mark: '-',
        columns: ['Image', 'Digest', 'Why'],
        rows: removed.map((entry) => ({cells: [...named(entry), entry.why]})),
      },
      {
        heading: 'Moved',
        mark: '~',
        columns: ['Image', 'Digest', 'Before'],
        rows: moved.map((entry) => ({cells: [...named(entry), digestCell(entry.was)]})),
      },
      {
        heading: 'Added',
        mark: '+',
        columns: ['Image', 'Digest'],
        rows: added.map((entry) => ({cells: named(entry)})),
      },
    ],
    summary:
      changes === 0
        ? 'Since the earlier plan, nothing changed at the source.'
        : `Since the earlier plan: ${added.length} added, ${counted(moved.length, 'tag')} moved, ${removed.length} removed.`,
    everything: '--delta-report FILE.md',
  };
}

function named({from, tag, digest}: DeltaEntry): readonly Cell[] {
  return [{code: imageName(from, tag, digest)}, digestCell(digest)];
}
