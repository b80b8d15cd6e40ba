import {createPrivateKey, createPublicKey, type KeyObject, sign, verify} from 'node:crypto';
import type {Command} from 'commander';
import {readRegular} from '../http/regular-file.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';

/** Flags that identify the reviewed plan. */
export interface ReviewFlags {
  readonly planId?: string;
  readonly verifyKey?: string;
}

export function addReviewFlags(command: Command): Command {
  return command
    .option('--plan-id <digest>', 'require this plan id, as shown in the review')
    .option(
      '--verify-key <file>',
      'require a signature that this public key verifies (ed25519, PEM)',
    );
}

export function addSignFlag(command: Command): Command {
  return command.option(
    '--sign-key <file>',
    'sign the plan with this private key (ed25519, PEM); see apply --verify-key',
  );
}

/** The maximum size of a key file, in bytes. A key in PEM form has about 120. */
const KEY_LIMIT = 64 * 1024;

/**
 * The plan with a signature of its id, which is the digest of everything else.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function signedPlan<T extends Plan>(plan: T, keyFile: string): Promise<T> {
  const key = await readKey(keyFile, createPrivateKey, 'private');
  const signature = sign(null, signedBytes(plan.id), key).toString('base64');
  return {...plan, signature};
}

/**
 * @throws TransshipError PLAN_NOT_REVIEWED if the plan has another id, or no signature by the key; FILE_UNREADABLE,
 *   FILE_INVALID
 */
export async function throwUnlessReviewed(
  {id, signature}: Plan,
  {planId, verifyKey}: ReviewFlags,
): Promise<void> {
  if (planId !== undefined && planId !== id) {
    throw notReviewed(`the plan has the id ${id}, but --plan-id is ${planId}`);
  }
  if (verifyKey === undefined) return;
  const key = await readKey(verifyKey, createPublicKey, 'public');
  if (signature === undefined) throw notReviewed('the plan is not signed');
  if (!verify(null, signedBytes(id), key, Buffer.from(signature, 'base64')))
    throw notReviewed(`the signature of the plan does not match the key in ${verifyKey}`);
}

/** The prefix ensures that the signature is not valid for anything else that is signed with the same key. */
function signedBytes(id: Digest): Buffer {
  return Buffer.from(`transship plan ${id}\n`);
}

/** OpenSSL's messages are omitted, so that no part of a key gets into a log. */
async function readKey(
  file: string,
  parse: (pem: Buffer) => KeyObject,
  kind: 'private' | 'public',
): Promise<KeyObject> {
  const pem = await readRegular(file, KEY_LIMIT).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_UNREADABLE', `the key ${file} cannot be read: ${why}`, {
      side: 'local',
      hint: 'check that the path is right and that you may read it',
      cause,
    });
  });
  try {
    const key = parse(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Reported below.
  }
  throw new TransshipError('FILE_INVALID', `${file} contains no ${kind} ed25519 key in PEM form`, {
    side: 'local',
    hint:
      kind === 'private'
        ? 'create one without a passphrase: openssl genpkey -algorithm ed25519 -out plan.key'
        : 'derive it from the private key: openssl pkey -in plan.key -pubout -out plan.pub',
  });
}

function notReviewed(message: string): TransshipError {
  return new TransshipError('PLAN_NOT_REVIEWED', message, {
    side: 'local',
    hint: 'apply the plan that was reviewed, or review this one with "transship show"',
  });
}
