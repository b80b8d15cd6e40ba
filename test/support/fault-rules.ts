import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';

type Fault = FaultRuleInput['fault'];
type Limits = Pick<FaultRuleInput, 'skip' | 'times'>;

/** A fault of requests for a blob (GET), for a new upload (POST), or to an upload. */
export function on(
  method: FaultRuleInput['method'],
  fault: Fault,
  limits: Limits = {},
): FaultRuleInput {
  const about = method === 'GET' ? 'blob' : method === 'POST' ? 'uploads' : 'upload';
  return {method, about, ...limits, fault};
}

export function cutRequest(after: number, limits: Limits): FaultRuleInput {
  return on('PATCH', {kind: 'cut-request', after}, limits);
}

export function cutAnswer(after: number, limits: Limits = {}): FaultRuleInput {
  return on('GET', {kind: 'cut-answer', after}, limits);
}

export function wrongOffset(by: number, skip: number): FaultRuleInput {
  return on('PATCH', {kind: 'wrong-offset', by}, {skip});
}

/** @param after bytes of the request's body that are read before the refusal */
export function refuse(
  method: FaultRuleInput['method'],
  status: number,
  limits: Limits = {},
  after = 0,
  headers: Record<string, string> = {},
): FaultRuleInput {
  return on(method, {kind: 'refuse', status, after, headers}, limits);
}
