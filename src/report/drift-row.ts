import {type Digest, shortDigest} from '../model/digest.ts';
import type {Drift} from '../model/outcome.ts';
import type {Cell, Row} from './document.ts';

/** A tag that is not as planned: where, on which side, and both digests. */
export function driftRow({side, repository, tag, planned, actual}: Drift): Row {
  return {cells: [{code: `${repository}:${tag}`}, side, digestCell(planned), digestCell(actual)]};
}

function digestCell(digest: Digest | null): Cell {
  return digest === null ? 'nothing' : {code: shortDigest(digest)};
}
