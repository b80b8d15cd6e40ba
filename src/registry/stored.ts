import type {HttpAnswer} from '../http/answer.ts';
import {describeRequest} from '../http/message.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Connection} from './connection.ts';
import {refusal} from './refusal.ts';
import {pushScope} from './scope.ts';

/*
 * A write is done when its result has been seen at the registry. The answer that the specification asks for, 201 with
 * the digest, shows it and costs nothing more. After any other success the registry is asked: load balancers answer 200
 * to requests that no registry has seen, and 202 promises only that something may happen later (RFC 9110, 15.3.3).
 */

/** Whether the answer to a write states that content with a digest that `isRight` was stored. */
export function saysStored(answer: HttpAnswer, isRight: (digest: Digest) => boolean): boolean {
  const digest = digestHeader(answer);
  return answer.status === 201 && digest !== undefined && isRight(digest);
}

/** `Docker-Content-Digest`; undefined: absent, or not a digest. */
export function digestHeader(answer: HttpAnswer): Digest | undefined {
  const digest = answer.header('docker-content-digest')?.trim();
  return digest !== undefined && isDigest(digest) ? digest : undefined;
}

/** Whether the answer is a success, whatever it proves. */
export function isSuccess({status}: HttpAnswer): boolean {
  return status >= 200 && status < 300;
}

/**
 * Asks for a blob in the repository that it was just written to, with the token for writing.
 * @throws TransshipError the registry's refusals
 */
export async function isBlobStored(
  connection: Connection,
  path: RepositoryPath,
  {digest, size}: Descriptor,
  call: Call,
): Promise<boolean> {
  const answer = await connection.send({
    method: 'HEAD',
    target: `${path}/blobs/${digest}`,
    path,
    scopes: [pushScope(path)],
    ...call,
  });
  if (answer.status === 404) return false;
  if (answer.status !== 200) throw await refusal(answer);
  // What answers 200 to everything is not believed here either.
  return answer.length === undefined || answer.length === size;
}

/**
 * The registry answered as if it had stored something, and does not have it.
 * @param what `host/path@digest`
 */
export function notStored(what: string, answer: HttpAnswer): TransshipError {
  const {request, status} = answer;
  return new TransshipError(
    'CHANGE_NOT_SEEN',
    `${describeRequest(request)} answered ${status}, but ${what} is not there`,
    {
      side: request.side,
      hint: 'the registry or a proxy in front of it answered without storing the content; run the command again, and ask its administrator if this happens again',
      retry: true,
      status,
    },
  );
}
