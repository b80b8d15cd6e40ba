import {GITLAB_SYMPTOMS} from './gitlab-symptoms.ts';
import {REGISTRY_SYMPTOMS} from './registry-symptoms.ts';
import type {Symptom} from './symptom.ts';

/** All that is known of, from GitLab's manuals and of registries in general. */
export const SYMPTOMS: readonly Symptom[] = [...GITLAB_SYMPTOMS, ...REGISTRY_SYMPTOMS];
