import {readRegular} from '../http/regular-file.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson} from '../model/json.ts';
import {TransshipError} from '../model/error.ts';
import {unreadable} from '../places/file-error.ts';
import {faultScript} from '../sandbox/faults/fault.ts';
import {FaultScript} from '../sandbox/faults/fault-script.ts';

/**
 * Reads the faults that the sandbox injects: a JSON list of rules.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function readFaults(file: string): Promise<FaultScript> {
  const text = await readRegular(file, DOCUMENT_LIMITS.size).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw invalid(file, `it ${(cause as JsonError).message}`, cause);
  }
  const parsed = faultScript.safeParse(value);
  if (parsed.success) return new FaultScript(parsed.data);
  const [issue] = parsed.error.issues;
  const path = (issue?.path ?? []).map(String).join('.');
  throw invalid(file, `${path === '' ? '' : `${path}: `}${issue?.message}`, parsed.error);
}

function invalid(file: string, why: string, cause: unknown): TransshipError {
  return new TransshipError('FILE_INVALID', `"${file}" is not a list of faults: ${why}`, {
    side: 'local',
    hint: 'write JSON such as [{"method": "PATCH", "fault": {"kind": "cut-request", "after": 1000}}]',
    cause,
  });
}
