import { unsupportedMediaType } from '@centaurus/api'
import type { ResourceCall } from './call.ts'
import type { UpdateStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'

/** Answers PATCH. */
export async function servePatch(_deps: ServeDeps, _call: ResourceCall, _strategy: UpdateStrategy): Promise<void> {
  throw unsupportedMediaType([])
}
